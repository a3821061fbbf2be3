"""A step of a program in numbers: what it computes, takes and keeps alive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Owners = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kernel:
    """What a step runs. `name` is that of its code, the same for equal code.

    `kind` says which sort of loops it is, `macs` how often their body is computed (for a map: for
    how many elements), `traffic` how many bytes its arrays have.
    """

    name: str
    kind: str
    macs: int
    traffic: int

    @property
    def shape(self) -> str:
        """The same for kernels that differ in constants alone, such as the bounds of their sums.

        A name ends on a digest of all that its code depends on.
        """
        return f"{self.name.rpartition('_')[0]} {self.kind} {self.macs} {self.traffic}"


@dataclass(frozen=True, slots=True)
class ProgramStep:
    """One step of a target's program, by the name of the node that it computes.

    `contraction`: the one that it carries, else the one that reads what it computes, else nothing.
    `taken`: a run on real inputs and outputs takes it. `milliseconds`: by the target's own model.
    `alive`: bytes that hold values while it runs, by the contractions that alone read them and so
    decide on their width; those under () are there whatever widths are chosen.
    """

    name: str
    contraction: str
    kernel: Kernel
    taken: bool
    milliseconds: float | None
    alive: Mapping[Owners, int]


@dataclass(frozen=True, slots=True)
class Outline:
    """A program's steps in order, and the bytes of memory planned for their values."""

    steps: tuple[ProgramStep, ...]
    arena_bytes: int
