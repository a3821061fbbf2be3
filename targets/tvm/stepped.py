"""A library that runs step by step on given values."""

from __future__ import annotations

from dataclasses import dataclass

from qcompile.ir.graph import Graph
from qcompile.ir.types import Array
from qcompile.targets.base import Arrays, Correct
from qcompile.targets.opened import LibraryRuntime
from qcompile.targets.tvm.library import Library
from qcompile.targets.tvm.names import value_names


@dataclass(frozen=True)
class SteppedRuntime(LibraryRuntime):
    """A library that takes values between its steps."""

    library: Library

    def stepped(self, graph: Graph, inputs: Arrays, correct: Correct) -> dict[str, Array]:
        """Outputs as reals. What `correct` makes of each value in memory, in the order of the
        program, is what later steps read. `graph` is what the library was built from."""
        nodes = {name: node for node, name in value_names(graph).items()}

        def change(name: str, value: Array) -> Array:
            return correct(nodes[name], value) if name in nodes else value

        values = self.library.changed(self._ordered(inputs), change)
        names = (tensor.name for tensor in self.library.outputs(raw=False))
        return dict(zip(names, values, strict=True))
