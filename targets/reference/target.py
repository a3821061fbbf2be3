"""The interpreter as a target: the definition that all others are held to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qcompile.errors import TargetError
from qcompile.ir.graph import Graph
from qcompile.ir.types import Array
from qcompile.passes.choose_widths import BY_NORMS, WidthRule
from qcompile.passes.recipe import Recipe
from qcompile.program.graph_file import read_graph, write_graph
from qcompile.targets.base import Arrays, Emitted, Stages
from qcompile.targets.borders import Borders, borders
from qcompile.targets.opened import THIS_PROCESSOR
from qcompile.targets.steps import Outline


@dataclass(frozen=True)
class Reference:
    """numpy, exact: `graph.qc` and its blobs, run node by node."""

    name: str = "reference"
    summary: str = "the interpreter in numpy: slow, exact, the definition of every model"
    exact: bool = True
    tolerance: float = 0.0
    emulates: str = ""
    recipe: Recipe = field(default_factory=lambda: Recipe(widths=WidthRule(scaling=BY_NORMS)))
    instructions: Mapping[str, str] = field(default_factory=lambda: {"int8": "native (numpy)"})

    def deployed(self, stages: Stages) -> Graph:
        """The integer graph itself."""
        return stages.integer

    def refusals(self, graph: Graph) -> Sequence[str]:
        """None: everything that can be typed can be run."""
        return ()

    def outline(self, graph: Graph) -> Outline:
        """None of its own."""
        raise TargetError(
            "reference interprets: it has neither kernels to time nor a plan of memory"
        )

    def here(self) -> str:
        """This processor: it runs everywhere."""
        return THIS_PROCESSOR

    def emit(self, graph: Graph, folder: Path, *, threads: int) -> Emitted:
        """The graph's text and its weights."""
        return Emitted(write_graph(graph, folder))

    def open(self, folder: Path, manifest: Mapping[str, Any], *, threads: int) -> Interpreter:
        """The graph, read back."""
        return Interpreter(read_graph(folder))


@dataclass(frozen=True)
class Interpreter:
    """A runtime that evaluates a graph."""

    graph: Graph
    device: str = "the interpreter in numpy"
    emulated: bool = False

    def run(self, inputs: Arrays) -> dict[str, Array]:
        """Outputs as the graph gives them: reals."""
        values = self.graph.run(*(inputs[node.name] for node in self.graph.inputs))
        return dict(zip((name for name, _ in self.graph.outputs), values, strict=True))

    def run_raw(self, inputs: Arrays) -> dict[str, Array]:
        """Outputs before their dequantize."""
        split: Borders = borders(self.graph)
        raw = Graph(self.graph.name, self.graph.inputs, split.outputs)
        return Interpreter(raw).run(inputs)

    def trace(self, inputs: Arrays) -> Iterator[tuple[str, Array]]:
        """Every named integer value."""
        ordered = [inputs[node.name] for node in self.graph.inputs]
        kept = [n for n in self.graph.nodes if n.type.is_quantized and n.name and n.operands]
        for node, value in self.graph.values(ordered, keep=kept):
            yield node.name, value


REFERENCE = Reference()
