"""A pass: a frozen value that maps a graph to a graph and says what it needs, gives and keeps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from enum import Enum
from typing import ClassVar

from qcompile.ir.graph import Graph
from qcompile.ir.invariant import Invariant


class Meaning(Enum):
    """How well a pass keeps what the graph computes."""

    EXACTLY = "bit for bit"
    CLOSELY = "to float rounding"
    NOT = "changes numbers, and reports by how much"


@dataclass(frozen=True)
class Pass(ABC):
    """Its fields are its options. `run` returns the same object when it changes nothing."""

    name: ClassVar[str]
    requires: ClassVar[frozenset[Invariant]] = frozenset()
    gives: ClassVar[frozenset[Invariant]] = frozenset()
    breaks: ClassVar[frozenset[Invariant]] = frozenset()
    keeps: ClassVar[Meaning] = Meaning.EXACTLY

    @abstractmethod
    def run(self, graph: Graph) -> Graph:
        """The graph after this pass."""

    def __str__(self) -> str:
        options = ", ".join(
            f"{f.name}={value!r}"
            for f in fields(self)
            if f.repr and (value := getattr(self, f.name)) != f.default
        )
        return f"{self.name}{{{options}}}" if options else self.name
