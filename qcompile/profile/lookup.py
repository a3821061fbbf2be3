"""Times of a program's steps from a table: a kernel's own, else interpolated and said so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import exp, hypot, log
from statistics import mean

from qcompile.errors import UsageError
from qcompile.options import Options
from qcompile.profile.device import device_of
from qcompile.profile.table import LatencyTable, Row, read_table, require_fits
from qcompile.targets import target
from qcompile.targets.base import Emitted
from qcompile.targets.steps import Kernel, Outline, ProgramStep

NEIGHBOURS = 4
CLOSE = 0.05  # in logarithms: a row as near as this weighs about as much as an exact one


@dataclass(frozen=True)
class Predicted:
    """Milliseconds of a run, of how many kernels, and those whose times are interpolated."""

    milliseconds: float
    kernels: int
    interpolated: tuple[str, ...]


@dataclass(frozen=True)
class Lookup:
    """A table as a clock for steps."""

    table: LatencyTable

    @cached_property
    def _rows(self) -> dict[str, Row]:
        return {row.kernel: row for row in self.table.rows}

    @cached_property
    def _shapes(self) -> dict[str, list[float]]:
        found: dict[str, list[float]] = {}
        for row in self.table.rows:
            found.setdefault(row.of.shape, []).append(row.milliseconds)
        return found

    def __call__(self, step: ProgramStep) -> float:
        """Milliseconds of a step: of this very kernel if it was measured, else the mean of those
        that differ from it in constants alone, else interpolated."""
        row = self._rows.get(step.kernel.name)
        if row is not None:
            return row.milliseconds
        alike = self._shapes.get(step.kernel.shape)
        return mean(alike) if alike else self._interpolated(step.kernel)

    def predict(self, steps: Iterable[ProgramStep]) -> Predicted:
        """A run on reals."""
        taken = [step for step in steps if step.taken]
        kernels = {step.kernel.name: step.kernel.shape for step in taken}
        unknown = tuple(n for n, shape in kernels.items() if shape not in self._shapes)
        return Predicted(self.table.call + sum(map(self, taken)), len(kernels), unknown)

    def foretold(self, emitted: Emitted, outline: Outline) -> Emitted:
        """What was emitted, with the latency that the table predicts."""
        found = self.predict(outline.steps)
        return replace(emitted, latency_ms=found.milliseconds, interpolated=found.interpolated)

    def _interpolated(self, kernel: Kernel) -> float:
        """The nearest kernels of the sort by log macs and log bytes, the nearer the heavier.

        Each is scaled by macs where it is large, and left alone where all its time is overhead:
        in between by the slope that the rows around show.
        """
        rows = [row for row in self.table.rows if row.kind == kernel.kind]
        if not rows:
            raise UsageError(
                f"the latency table has no kernel of the sort {kernel.kind!r}, as {kernel.name} "
                f"is: measure with `qcompile profile MODEL --target {self.table.target}`"
            )
        ordered = sorted(rows, key=lambda row: (_distance(row, kernel), row))
        near = ordered[:NEIGHBOURS]
        weights = [1 / (CLOSE + _distance(row, kernel)) ** 2 for row in near]
        slope = _slope(ordered[: 2 * NEIGHBOURS])
        guesses = [
            log(row.milliseconds) + slope * (log(kernel.macs) - log(row.macs)) for row in near
        ]
        return exp(sum(w * g for w, g in zip(weights, guesses, strict=True)) / sum(weights))


def _distance(row: Row, kernel: Kernel) -> float:
    bytes_apart = log(max(row.traffic, 1)) - log(max(kernel.traffic, 1))
    return hypot(log(row.macs) - log(kernel.macs), bytes_apart)


def _slope(rows: Sequence[Row]) -> float:
    """How log time grows with log macs, by least squares, from 0 (overhead) to 1 (work)."""
    x = [log(row.macs) for row in rows]
    y = [log(row.milliseconds) for row in rows]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    spread = sum((a - mean_x) ** 2 for a in x)
    if spread == 0:
        return 1.0
    slope = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / spread
    return min(max(slope, 0.0), 1.0)


def wanted_table(options: Options) -> Lookup | None:
    """The table that the options name, if any, fit for their target, device and threads.

    `ArtifactError` for a file that is none, `UsageError` for a table of something else.
    """
    if options.latency_table is None:
        return None
    table = read_table(options.latency_table)
    place = target(options.target)
    require_fits(
        table, options.latency_table, target=place.name, device=device_of(place),
        threads=options.threads,
    )  # fmt: skip
    return Lookup(table)
