"""All that a compilation depends on, in one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qcompile.errors import UsageError
from qcompile.ir.widths import Widths, parse_widths

BITS = ("uniform", "auto")
METHODS = ("auto", "minmax", "percentile", "mse", "entropy")


@dataclass(frozen=True)
class Options:
    """The command line's options under the same names; `qcompile --help` explains each.

    What changes the artifact is in `identity`; threads, places and noise are not. `scheme` is the
    widths of all contractions, the target's own when None; `widths` those of single ones, by
    patterns on their names. With `bits` "auto" they are chosen under `budget`, limits in bytes and
    bit operations; `plan` names the file of an earlier choice.
    """

    target: str
    calib: object | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])
    output: Path | None = None
    force: bool = False
    method: str = "auto"
    scheme: str | None = None
    widths: Mapping[str, str] = field(default_factory=dict[str, str])
    bits: str = "uniform"
    budget: Mapping[str, float] = field(default_factory=dict[str, float])
    plan: Path | None = None
    exclude: tuple[str, ...] = ()
    strict: bool = False
    allow_emulated: bool = False
    verify: bool = True
    check: bool = False
    dump_after_each: Path | None = None
    seed: int = 0
    threads: int = 2

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UsageError(f"no method {self.method!r}: give one of {', '.join(METHODS)}")
        if self.threads < 1:
            raise UsageError(f"{self.threads} threads: give 1 or more")
        if self.bits not in BITS:
            raise UsageError(f"--bits {self.bits}: give {' or '.join(BITS)}")
        if self.budget and self.bits != "auto":
            raise UsageError("--budget is for --bits auto: give both")
        if self.plan is not None and self.bits == "auto":
            raise UsageError("--plan holds earlier choices, --bits auto makes new ones: give one")
        for text in (*self.widths.values(), *([] if self.scheme is None else [self.scheme])):
            parse_widths(text)

    @property
    def default_widths(self) -> Widths | None:
        """What `scheme` says."""
        return None if self.scheme is None else parse_widths(self.scheme)

    @property
    def overrides(self) -> dict[str, Widths]:
        """What `widths` says."""
        return {pattern: parse_widths(text) for pattern, text in self.widths.items()}

    @property
    def identity(self) -> dict[str, Any]:
        """What the artifact's bytes depend on, beside model and samples."""
        return {
            "target": self.target,
            "shapes": {name: list(shape) for name, shape in sorted(self.shapes.items())},
            "method": self.method,
            "scheme": None if self.scheme is None else str(self.default_widths),
            "widths": {pattern: str(widths) for pattern, widths in self.overrides.items()},
            "exclude": list(self.exclude),
            "seed": self.seed,
        }
