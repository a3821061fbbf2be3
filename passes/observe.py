"""Observers of a pipeline: verify, compare, dump, time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from qcompile.errors import InvariantViolated
from qcompile.ir.text import dump
from qcompile.ir.types import Array
from qcompile.passes.base import Meaning
from qcompile.passes.pipeline import Step

CLOSE = 1e-4


@dataclass(frozen=True)
class Verify:
    """Checks that each pass gave what it promised."""

    def after(self, step: Step) -> None:
        """Raises `InvariantViolated` with the offending nodes."""
        for invariant in sorted(step.by.gives, key=str):
            invariant.check(step.after, where=f"after {step.by.name}")


@dataclass(frozen=True)
class Compare:
    """Runs both sides of each pass on a probe and holds it to what it says it keeps."""

    probe: Sequence[Array]

    def after(self, step: Step) -> None:
        """Raises `InvariantViolated` with the output that differs most."""
        if not step.changed or step.by.keeps is Meaning.NOT:
            return
        tolerance = 0.0 if step.by.keeps is Meaning.EXACTLY else CLOSE
        before, after = step.before.run(*self.probe), step.after.run(*self.probe)
        for (name, _), old, new in zip(step.before.outputs, before, after, strict=True):
            worst = relative_difference(old, new)
            if not worst <= tolerance:  # NaN is none, and differs
                raise InvariantViolated(
                    f"{step.by.name} promises to keep the meaning {step.by.keeps.value}, but "
                    f"output {name} differs by {worst:.3g} of its largest value"
                )


@dataclass(frozen=True)
class Dump:
    """Writes the graph after every pass that changed it: `04-fold-batchnorm.qc`."""

    folder: Path

    def after(self, step: Step) -> None:
        """Writes one file, or none."""
        if step.changed:
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / f"{step.index:02d}-{step.by.name}.qc"
            path.write_text(dump(step.after))


@dataclass(frozen=True)
class Time:
    """Collects what each pass took and changed, for the summary."""

    rows: list[dict[str, object]] = field(default_factory=list[dict[str, object]])

    def after(self, step: Step) -> None:
        """Adds one row: name, seconds, and how many nodes are new."""
        old = set(step.before.nodes) if step.changed else set(step.after.nodes)
        fresh = sum(node not in old for node in step.after.nodes)
        self.rows.append({"name": step.by.name, "seconds": step.seconds, "changed": fresh})


def relative_difference(old: Array, new: Array) -> float:
    """max |new − old| / max |old|, over finite old; NaN and infinities want their like."""
    if old.shape != new.shape:
        return float("inf")
    if np.array_equal(old, new, equal_nan=old.dtype.kind in "fc"):
        return 0.0
    a, b = old.astype(np.float64), new.astype(np.float64)
    with np.errstate(invalid="ignore"):
        gap = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
    greatest = float(np.abs(a[np.isfinite(a)]).max(initial=0.0))
    return float(np.max(gap)) / max(greatest, 1e-30)
