"""All that a compilation depends on, in one value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from qcompile.errors import UsageError
from qcompile.ir.widths import PER_TENSOR, Widths, parse_widths
from qcompile.recipe_file import RecipeFile, read_recipe

BITS = ("uniform", "auto")
METRICS = ("auto", "error", "top1")
METHODS = ("auto", "minmax", "percentile", "mse", "entropy")
ROUNDINGS = ("nearest", "gptq", "learned", "best")


@dataclass(frozen=True)
class Options:
    """The command line's options under the same names; `qcompile --help` explains each.

    What changes the artifact is in `identity`; threads, places and noise are not. `scheme` is the
    widths of all contractions, the target's own when None; `widths` those of single ones, by
    patterns on their names. With `bits` "auto" they are chosen under `budget`, limits in bytes and
    bit operations; with `max_drop`, a part of 1, so that no more is lost by `metric`: one of
    `METRICS`, `package.module:callable`, or a function. Up to `float_layers` contractions may then
    stay in float, and `estimator` says how damages are found. `recipe` is a recipe's name or file,
    `plan` names the file of an earlier choice, `latency_table` one that `qcompile profile` wrote.
    `resume` goes on with a run that was ended.
    """

    target: str
    calib: object | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])
    output: Path | None = None
    force: bool = False
    method: str = "auto"
    rounding: str = "nearest"
    recipe: str | None = None
    scheme: str | None = None
    widths: Mapping[str, str] = field(default_factory=dict[str, str])
    bits: str = "uniform"
    budget: Mapping[str, float] = field(default_factory=dict[str, float])
    max_drop: float | None = None
    metric: str | Callable[..., float] = "auto"
    float_layers: int = 0
    estimator: str | None = None
    plan: Path | None = None
    latency_table: Path | None = None
    resume: bool = False
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
        if self.rounding not in ROUNDINGS:
            raise UsageError(f"no rounding {self.rounding!r}: give one of {', '.join(ROUNDINGS)}")
        if self.rounding != "nearest" and self.calib is None:
            raise UsageError(f"--rounding {self.rounding} looks at samples: give some with --calib")
        if self.threads < 1:
            raise UsageError(f"{self.threads} threads: give 1 or more")
        _require_one_choice(self)
        _require_drop(self)
        for text in (*self.widths.values(), *([] if self.scheme is None else [self.scheme])):
            parse_widths(text)

    @cached_property
    def recipe_file(self) -> RecipeFile | None:
        """What `recipe` names; None for the usual passes."""
        return None if self.recipe is None else read_recipe(self.recipe)

    @property
    def settled(self) -> Options:
        """The same with what the recipe file says wherever nothing else is given."""
        said = {} if self.recipe_file is None else dict(self.recipe_file.options)
        fresh = Options(self.target)
        open_ones = {k: v for k, v in said.items() if getattr(self, k) == getattr(fresh, k)}
        if "exclude" in open_ones:
            open_ones["exclude"] = tuple(open_ones["exclude"])
        return replace(self, **open_ones)

    @property
    def chooses(self) -> bool:
        """Widths are chosen layer by layer in this run."""
        return self.plan is None and (self.bits == "auto" or self.max_drop is not None)

    @property
    def judges(self) -> bool:
        """The drop of the whole network is measured."""
        return self.max_drop is not None or self.metric != "auto"

    @property
    def default_widths(self) -> Widths | None:
        """What `scheme` says."""
        return None if self.scheme is None else parse_widths(self.scheme)

    @property
    def per_tensor(self) -> bool:
        """`scheme` demands one scale for all tokens."""
        return self.scheme is not None and self.scheme.lower().endswith(PER_TENSOR)

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
            "rounding": self.rounding,
            "recipe": None if self.recipe_file is None else self.recipe_file.identity,
            "scheme": None if self.scheme is None else str(self.default_widths),
            "per_tensor": self.per_tensor,
            "widths": {pattern: str(widths) for pattern, widths in self.overrides.items()},
            "exclude": list(self.exclude),
            "seed": self.seed,
            **(self._judgement if self.judges else {}),
        }

    @property
    def metric_name(self) -> str:
        """The metric's name, that of a function as Python has it."""
        metric = self.metric
        return metric if isinstance(metric, str) else getattr(metric, "__qualname__", "callable")

    @property
    def _judgement(self) -> dict[str, Any]:
        return {"metric": self.metric_name, "max_drop": self.max_drop}


def _require_one_choice(options: Options) -> None:
    """`UsageError` for options that contradict each other about who chooses."""
    if options.bits not in BITS:
        raise UsageError(f"--bits {options.bits}: give {' or '.join(BITS)}")
    if options.plan is not None and options.bits == "auto":
        raise UsageError("--plan holds earlier choices, --bits auto makes new ones: give one")
    if options.float_layers < 0:
        raise UsageError(f"--float-layers {options.float_layers}: give 0 or more")
    given = {
        "--budget": bool(options.budget),
        "--float-layers": options.float_layers > 0,
        "--estimator": options.estimator is not None,
    }
    for name in (name for name, is_given in given.items() if is_given and not options.chooses):
        raise UsageError(f"{name} is for --bits auto: give both")


def _require_drop(options: Options) -> None:
    """`UsageError` for a bound or a metric that makes no sense."""
    if options.max_drop is not None and not 0 <= options.max_drop <= 1:
        raise UsageError(f"--max-drop {options.max_drop:.4g}: give 0 to 1, or 0% to 100%")
    metric = options.metric
    if isinstance(metric, str) and metric not in METRICS and ":" not in metric:
        raise UsageError(
            f"no metric {metric!r}: give one of {', '.join(METRICS)}, or package.module:callable"
        )
    if options.judges and options.calib is None:
        name = "--metric" if options.max_drop is None else "--max-drop"
        raise UsageError(f"{name} is measured on samples: give some with --calib")
