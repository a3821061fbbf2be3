"""Cause and cure: why a layer lost precision, and the option that helps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qcompile.calibrate.statistics import Statistics
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.quant import FakeQuant, FakeQuantDynamic
from qcompile.ir.ops.shape import Concat
from qcompile.ir.ops.source import Const
from qcompile.ir.widths import Widths
from qcompile.passes.recipe import Recipe
from qcompile.passes.rounding.policy import NEAREST
from qcompile.quality import Layer

WORST = 8
OUTLIER = 8.0
CLIPPED = 1e-3


@dataclass(frozen=True)
class Diagnosis:
    """A layer with its loss, the likeliest cause, and what to try."""

    layer: Layer
    cause: str
    cure: str

    def as_dict(self) -> dict[str, Any]:
        """The summary's entry."""
        return {
            "node": self.layer.name,
            "op": self.layer.op,
            "sqnr_db": round(self.layer.accumulated, 2),
            "isolated_sqnr_db": round(self.layer.isolated, 2),
            "cause": self.cause,
            "cure": self.cure,
        }


def diagnose(
    layers: Sequence[Layer], calibrated: Graph, seen: Mapping[str, Statistics], recipe: Recipe
) -> list[Diagnosis]:
    """The layers that alone lose most, worst first, each with its cause and what to try."""
    nodes = {n.name: n for n in calibrated.nodes if n.name and not isinstance(n, FakeQuant)}
    ranked = sorted(layers, key=lambda layer: (layer.isolated, layer.name))[:WORST]
    return [_diagnose(layer, nodes.get(layer.name), calibrated, seen, recipe) for layer in ranked]


def _diagnose(
    layer: Layer,
    node: Node | None,
    calibrated: Graph,
    seen: Mapping[str, Statistics],
    recipe: Recipe,
) -> Diagnosis:
    coarse = None if node is None else _coarse(node, calibrated, recipe)
    if coarse is not None:
        return Diagnosis(layer, *coarse)
    markers = [o for o in node.operands if isinstance(o, FakeQuant)] if node is not None else []
    for marker in markers:
        found = seen.get(marker.name)
        if isinstance(marker.x, Const) or found is None:
            continue
        cause = _cause(marker, found)
        if cause is not None:
            return Diagnosis(layer, *cause)
    if node is not None and any(isinstance(o, Concat) for o in node.operands):
        return Diagnosis(
            layer, "parts of a concat share one scale", "--exclude the concat's reader"
        )
    if layer.accumulated < layer.isolated - 6:
        return Diagnosis(layer, "noise from the layers before it", "cure the worse layers first")
    return Diagnosis(layer, "rounding to 8 bits", f"--exclude '{layer.name}' keeps it in float")


def _coarse(node: Node, calibrated: Graph, recipe: Recipe) -> tuple[str, str] | None:
    """Fewer than 8 bits in a contraction, or in the one that reads this value next."""
    narrow = [o for o in node.operands if isinstance(o, _MARKS) and _is_narrow(o)]
    if narrow:
        kinds = " and ".join(_in_words(o) for o in narrow)
        scheme = Widths(8, 8, per_token=any(isinstance(o, FakeQuantDynamic) for o in node.operands))
        cure = f"--scheme '{node.name}={scheme}' keeps it in 8 bits"
        if recipe.rounding == NEAREST and any(isinstance(o.x, Const) for o in narrow):
            cure = f"{cure}; --rounding gptq (with --calib) loses less in all layers"
        return f"rounding to {kinds}", cure
    for marker in calibrated.users[node]:
        if isinstance(marker, FakeQuant) and _is_narrow(marker):
            readers = [user.name for user in calibrated.users[marker] if user.name]
            cure = " ".join(f"--scheme '{name}=W4A8'" for name in readers[:2])
            return f"its readers take it in {marker.elem.bits} bits", f"{cure} reads it in 8 bits"
    return None


_MARKS = (FakeQuant, FakeQuantDynamic)


def _is_narrow(marker: FakeQuant | FakeQuantDynamic) -> bool:
    return marker.elem.bits < 8


def _in_words(marker: FakeQuant | FakeQuantDynamic) -> str:
    kind = "weights" if isinstance(marker.x, Const) else "activations"
    return f"{marker.elem.bits}-bit {kind}"


def _cause(marker: FakeQuant, found: Statistics) -> tuple[str, str] | None:
    unit, elem = marker.unit, marker.elem
    lo = (elem.lo - unit.zero_point[0]) * unit.scale[0]
    hi = (elem.hi - unit.zero_point[0]) * unit.scale[0]
    counts, centres = found.counts.counts, found.counts.centres
    total = max(int(counts.sum()) + found.counts.zeros, 1)
    clipped = int(counts[(centres < lo) | (centres > hi)].sum()) / total
    if clipped > CLIPPED:
        return (
            f"{clipped:.2%} of its input's values are clipped at [{lo:.3g}, {hi:.3g}]",
            "--method minmax, or more representative calibration samples",
        )
    reach = np.maximum(np.abs(found.low), np.abs(found.high))
    middle = float(np.median(reach))
    if reach.size > 1 and middle > 0 and float(reach.max()) > OUTLIER * middle:
        channel = int(reach.argmax())
        return (
            f"input channel {channel} is {float(reach.max()) / middle:.0f} times larger than the "
            "median channel",
            "--recipe smooth (with --calib) scales it into the weights, or --exclude the reader",
        )
    dead = int((reach == 0).sum())
    if dead > reach.size // 2:
        return (f"{dead} of {reach.size} input channels are always zero", "prune the model")
    return None
