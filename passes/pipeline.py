"""A pipeline: passes in a checked order, watched by observers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from qcompile.errors import InvariantViolated
from qcompile.ir.graph import Graph
from qcompile.ir.invariant import Invariant
from qcompile.passes.base import Pass


@dataclass(frozen=True)
class Step:
    """One pass at work: its place, the graphs on both sides, the time it took."""

    index: int
    by: Pass
    before: Graph
    after: Graph
    seconds: float

    @property
    def changed(self) -> bool:
        """True when the pass did anything."""
        return self.before is not self.after


def always(step: Step) -> bool:
    """Every step is kept."""
    return True


class Observer(Protocol):
    """Looks at every step after it ran."""

    def after(self, step: Step) -> None:
        """Called once for each pass, in order."""
        ...


@dataclass(frozen=True)
class Pipeline:
    """Passes in the order they run. An order in which a need is not met does not construct."""

    passes: tuple[Pass, ...]
    given: frozenset[Invariant] = field(default=frozenset())

    def __init__(self, passes: Sequence[Pass], given: frozenset[Invariant] = frozenset()) -> None:
        object.__setattr__(self, "passes", tuple(passes))
        object.__setattr__(self, "given", given)
        held = set(given)
        for one in self.passes:
            missing = sorted(i.name for i in one.requires - held)
            if missing:
                raise InvariantViolated(
                    f"{one.name} requires {', '.join(missing)}, which nothing before it gives in "
                    f"{self}"
                )
            held = (held - one.breaks) | one.gives

    @property
    def gives(self) -> frozenset[Invariant]:
        """What holds after the last pass."""
        held = self.given
        for one in self.passes:
            held = (held - one.breaks) | one.gives
        return held

    def run(
        self,
        graph: Graph,
        observers: Sequence[Observer] = (),
        *,
        accept: Callable[[Step], bool] = always,
    ) -> Graph:
        """The graph after all passes. A failure keeps its type and is told which pass it was in.

        A step that `accept` refuses is taken back: nothing after it sees what it did.
        """
        for index, one in enumerate(self.passes, 1):
            try:
                start = time.perf_counter()
                after = one.run(graph)
                step = Step(index, one, graph, after, time.perf_counter() - start)
                if not accept(step):
                    after, step = graph, replace(step, after=graph)
                for observer in observers:
                    observer.after(step)
            except Exception as error:
                error.add_note(f"in pass {index} ({one.name}) of {self}")
                raise
            graph = after
        return graph

    def __str__(self) -> str:
        return " -> ".join(one.name for one in self.passes)
