"""A runtime over a library that was opened through its C interface."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from qcompile.ir.types import Array
from qcompile.targets.base import Arrays
from qcompile.targets.tensors import Tensor

THIS_PROCESSOR = "this processor"


class Opened(Protocol):
    """What both kinds of library give: arrays in, arrays out, in the order of their tensors."""

    def inputs(self, *, raw: bool) -> Sequence[Tensor]:
        """What a run takes."""
        ...

    def outputs(self, *, raw: bool) -> Sequence[Tensor]:
        """What a run gives."""
        ...

    def run(self, inputs: Sequence[Array], *, raw_outputs: bool = False) -> Sequence[Array]:
        """One sample."""
        ...

    def trace(self, inputs: Sequence[Array]) -> Iterable[tuple[str, Array]]:
        """Named values, step by step."""
        ...

    def times(self, inputs: Sequence[Array]) -> Sequence[tuple[str, str, int]]:
        """One run on reals: node, kernel and nanoseconds of each step."""
        ...


@dataclass(frozen=True)
class LibraryRuntime:
    """`layers` are the names whose values can be compared with the interpreter's."""

    library: Opened
    layers: frozenset[str]
    device: str
    emulated: bool = False

    def run(self, inputs: Arrays) -> dict[str, Array]:
        """Outputs as reals."""
        return self._run(inputs, raw=False)

    def run_raw(self, inputs: Arrays) -> dict[str, Array]:
        """Outputs before their dequantize."""
        return self._run(inputs, raw=True)

    def trace(self, inputs: Arrays) -> Iterator[tuple[str, Array]]:
        """The integers that steps wrote to memory, in their order."""
        for name, value in self.library.trace(self._ordered(inputs)):
            if name in self.layers:
                yield name, value

    def times(self, inputs: Arrays) -> list[tuple[str, int]]:
        """One run on reals: kernel and nanoseconds of each step that it takes."""
        found = self.library.times(self._ordered(inputs))
        return [(kernel, taken) for _, kernel, taken in found]

    def _run(self, inputs: Arrays, *, raw: bool) -> dict[str, Array]:
        values = self.library.run(self._ordered(inputs), raw_outputs=raw)
        names = (t.name for t in self.library.outputs(raw=raw))
        return dict(zip(names, values, strict=True))

    def _ordered(self, inputs: Arrays) -> list[Array]:
        return [inputs[t.name] for t in self.library.inputs(raw=False)]
