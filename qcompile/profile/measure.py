"""Times of a program's steps in place: the whole network runs, every step with its neighbours."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from qcompile.ir.dims import static
from qcompile.ir.graph import Graph
from qcompile.ir.ops.source import Input
from qcompile.ir.types import Array
from qcompile.profile.table import Row
from qcompile.targets.opened import LibraryRuntime
from qcompile.targets.steps import ProgramStep

ROUND_SECONDS = 0.2
MOST_RUNS = 1000
LEAST_RUNS = 3
NANO = 1e-6  # milliseconds


@dataclass(frozen=True)
class Timed:
    """Of each step and of the whole run: the median of each round, in milliseconds."""

    steps: Sequence[ProgramStep]
    rounds: Sequence[Sequence[float]]
    whole: Sequence[float]

    @property
    def call(self) -> float:
        """What a run costs beside its steps: at least nothing."""
        return max(
            0.0, median(self.whole) - sum(median(times) for times in zip(*self.rounds, strict=True))
        )


def measure(
    runtime: LibraryRuntime, graph: Graph, steps: Sequence[ProgramStep], *, rounds: int
) -> Timed:
    """Rounds of timed runs and of plain ones, which take turns."""
    inputs = drawn(graph)
    runtime.run(inputs)
    start = time.perf_counter()
    runtime.run(inputs)
    once = max(time.perf_counter() - start, 1e-6)
    runs = min(MOST_RUNS, max(LEAST_RUNS, int(ROUND_SECONDS / once)))
    timed: list[list[float]] = []
    whole: list[float] = []
    for _ in range(rounds):
        timed.append(_medians(runtime, inputs, runs))
        whole.append(median(_plain(runtime, inputs) for _ in range(runs)))
    return Timed(steps, timed, whole)


def rows_of(programs: Sequence[Timed]) -> tuple[Row, ...]:
    """A row for each kernel: the mean over its places, of a median over the rounds at each."""
    places: dict[str, list[tuple[ProgramStep, Sequence[float]]]] = {}
    for program in programs:
        for step, times in zip(program.steps, zip(*program.rounds, strict=True), strict=True):
            if step.taken:
                places.setdefault(step.kernel.name, []).append((step, times))
    return tuple(_row(name, found) for name, found in sorted(places.items()))


def drawn(graph: Graph) -> Mapping[str, Array]:
    """A seeded sample: normal reals, small integers."""
    rng = np.random.default_rng(0)
    return {node.name: _value(node, rng) for node in graph.inputs}


def _value(node: Input, rng: np.random.Generator) -> Array:
    shape, elem = static(node.type.shape), node.type.elem
    if elem.is_float:
        return rng.standard_normal(shape).astype(elem.storage)
    return rng.integers(0, 2, shape).astype(elem.storage)


def _medians(runtime: LibraryRuntime, inputs: Mapping[str, Array], runs: int) -> list[float]:
    """Milliseconds of each step."""
    taken = [[spent for _, spent in runtime.times(inputs)] for _ in range(runs)]
    return [NANO * median(times) for times in zip(*taken, strict=True)]


def _plain(runtime: LibraryRuntime, inputs: Mapping[str, Array]) -> float:
    start = time.perf_counter_ns()
    runtime.run(inputs)
    return NANO * (time.perf_counter_ns() - start)


def _row(name: str, places: Sequence[tuple[ProgramStep, Sequence[float]]]) -> Row:
    kernel = places[0][0].kernel
    middle = sum(median(times) for _, times in places) / len(places)
    spread = sum(max(times) - min(times) for _, times in places) / len(places)
    least = NANO  # a clock that ticks more slowly than a step takes gives 0
    milliseconds = max(middle, least)
    return Row(name, kernel.kind, kernel.macs, kernel.traffic, milliseconds, spread / milliseconds)
