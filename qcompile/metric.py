"""By what the drop of a quantized network is judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from math import isfinite, prod, sqrt
from typing import Any, SupportsFloat

import numpy as np

from qcompile.analysis.ends import compared
from qcompile.errors import UsageError
from qcompile.ir.graph import Graph
from qcompile.ir.types import Array

Outputs = Sequence[Mapping[str, Array]]
Function = Callable[[Outputs, Outputs], object]  # a user's may return anything


@dataclass(frozen=True)
class Metric:
    """`measure` takes the float model's outputs and the quantized ones, a dict for each sample,
    and gives the drop: 0.0 for none. `judged`: the values before a final softmax, sigmoid or
    argmax; otherwise the outputs as they are."""

    name: str
    measure: Function = field(repr=False)
    judged: bool = True

    def drop(self, real: Outputs, found: Outputs) -> float:
        """The drop; `UsageError` for what is no number."""
        drop = self.measure(real, found)
        if not isinstance(drop, SupportsFloat) or not isfinite(float(drop)):
            raise UsageError(f"--metric {self.name} gives {drop!r}: return a finite number")
        return float(drop)


def wanted_metric(asked: str | Function, real: Graph) -> Metric:
    """The metric behind `--metric`. `auto` is top1 for a model whose only output is one row of two
    or more scores for each sample, else error."""
    if not isinstance(asked, str):
        return Metric(getattr(asked, "__qualname__", "callable"), asked, judged=False)
    if ":" in asked:
        return Metric(asked, _imported(asked), judged=False)
    name = asked if asked != "auto" else "top1" if is_classifier(real) else "error"
    if not compared(real):
        raise UsageError(
            f"--metric {asked}: {real.name} has no output of reals: give package.module:callable"
        )
    return Metric(name, METRICS[name])


def is_classifier(real: Graph) -> bool:
    """One output, one row of at least two scores."""
    ends = compared(real)
    if len(ends) != 1 or len(real.outputs) != 1:
        return False
    shape = [d for d in ends[0][1].type.shape if isinstance(d, int)]
    return bool(shape) and shape[-1] >= 2 and prod(shape) == shape[-1]


def error(real: Outputs, found: Outputs) -> float:
    """√ of the mean over outputs of Σ‖y′ − y‖² / Σ‖y‖², over all samples: the root of the damage
    that sensitivities have."""
    shares: list[float] = []
    for name in real[0]:
        signal = sum(_power(one[name]) for one in real)
        pairs = zip(real, found, strict=True)
        noise = sum(_power(_wide(b[name]) - _wide(a[name])) for a, b in pairs)
        shares.append(noise / max(signal, 1e-300) if noise else 0.0)
    return sqrt(sum(shares) / len(shares))


def top1(real: Outputs, found: Outputs) -> float:
    """The share of samples in which the greatest element of an output is another one."""
    moved = [
        any(int(a[name].argmax()) != int(b[name].argmax()) for name in a)
        for a, b in zip(real, found, strict=True)
    ]
    return sum(moved) / len(moved)


METRICS: Mapping[str, Function] = {"error": error, "top1": top1}


def _imported(text: str) -> Function:
    """The user's function."""
    module, _, attribute = text.partition(":")
    try:
        function: Any = getattr(import_module(module), attribute)
    except Exception as reason:  # whatever the user's module raises
        raise UsageError(f"cannot import --metric {text}: {reason}") from reason
    if not callable(function):
        raise UsageError(f"--metric {text} is no function: give one of two lists of dicts")
    return function


def _wide(array: Array) -> Array:
    return np.asarray(array, np.float64)


def _power(array: Array) -> float:
    return float(np.square(_wide(array)).sum())
