"""Invariants: a name, and a generator of complaints about a graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice

from qcompile.errors import InvariantViolated
from qcompile.ir.graph import Graph


@dataclass(frozen=True)
class Invariant:
    """A property of graphs; `offences` yields one sentence for each place that breaks it."""

    name: str
    offences: Callable[[Graph], Iterable[str]]

    def check(self, graph: Graph, *, where: str) -> None:
        """Raises `InvariantViolated` with the first complaints, if there are any."""
        found = list(islice(self.offences(graph), 5))
        if found:
            raise InvariantViolated(f"{where}: {graph.name} is not {self.name}: {'; '.join(found)}")

    def __str__(self) -> str:
        return self.name
