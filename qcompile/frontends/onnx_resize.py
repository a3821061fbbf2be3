"""Resize and Upsample: coordinate rules become index lists and fractions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, floor

from qcompile.errors import BadModel
from qcompile.frontends.onnx_call import Call, Opaque, Translator, axis_of
from qcompile.ir.node import Node
from qcompile.ir.ops.resize import ResizeLinear, ResizeNearest

_LONGEST = 1 << 20


@dataclass(frozen=True)
class Axis:
    """One resampled axis: its lengths, and the scale that the coordinates go by."""

    index: int
    source: int
    target: int
    scale: float

    @property
    def still(self) -> bool:
        """Nothing happens."""
        return self.source == self.target and self.scale == 1


def _resize(call: Call) -> Node:
    x = call.x()
    mode = call.text("mode", "nearest")
    rule = call.text("coordinate_transformation_mode", _default_rule(call))
    if mode not in ("nearest", "linear", "bilinear", "cubic"):
        raise BadModel(f"{call}: mode is {mode!r}")
    if mode == "cubic" or call.flag("antialias") or rule == "tf_crop_and_resize":
        raise Opaque(f"{mode} {rule}")
    axes = _axes(call, rule)
    moved = [axis for axis in axes if not axis.still]
    if not moved:
        return x
    first = min(axis.index for axis in moved)
    last = [axis for axis in axes if axis.index >= first]
    if mode == "nearest":
        rounding = _ROUNDINGS[call.text("nearest_mode", "round_prefer_floor")]
        if call.opset < 11:
            rounding = floor
        return ResizeNearest(x, tuple(_nearest(a, rule, rounding) for a in last))
    low, frac = zip(*(_linear(a, rule) for a in last), strict=True)
    return ResizeLinear(x, tuple(low), tuple(frac))


def _default_rule(call: Call) -> str:
    return "half_pixel" if call.opset >= 11 and call.node.op_type == "Resize" else "asymmetric"


def _axes(call: Call, rule: str) -> list[Axis]:
    """Every axis of x, from scales or sizes (of all axes, or of `axes` since opset 18)."""
    x = call.x()
    rank = x.type.rank
    listed = [axis_of(call, a, rank) for a in call.integers("axes", tuple(range(rank)))]
    scales, sizes = _asked(call)
    if len(scales or sizes) != len(listed):
        raise BadModel(f"{call}: {len(scales or sizes)} scales or sizes for {len(listed)} axes")
    result: list[Axis] = []
    for axis, length in enumerate(x.type.shape):
        if axis not in listed:
            result.append(Axis(axis, length if isinstance(length, int) else 1, 1, 1.0))
            result[-1] = Axis(axis, result[-1].source, result[-1].source, 1.0)
            continue
        place = listed.index(axis)
        if not isinstance(length, int):
            if scales and scales[place] == 1:
                result.append(Axis(axis, 1, 1, 1.0))
                continue
            raise Opaque("resamples an open length")
        if scales:
            target = floor(length * scales[place])
            result.append(Axis(axis, length, target, scales[place]))
        else:
            result.append(Axis(axis, length, sizes[place], sizes[place] / max(length, 1)))
    if any(not 1 <= a.target <= _LONGEST or a.scale <= 0 for a in result):
        raise BadModel(f"{call}: resamples {x.type} to {[a.target for a in result]}")
    return _fitted(call, result, listed) if sizes else result


def _asked(call: Call) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """The scales or the sizes; the other is empty."""
    if call.opset < 9:
        return call.reals("scales"), ()
    if call.opset < 11 or call.node.op_type == "Upsample":
        return _floats(call, 1), ()
    scales = _floats(call, 2) if call.maybe(2) is not None else ()
    return (scales, ()) if scales else ((), call.numbers(3))


def _floats(call: Call, index: int) -> tuple[float, ...]:
    return tuple(float(v) for v in call.const(index).array.reshape(-1))


def _fitted(call: Call, axes: list[Axis], listed: list[int]) -> list[Axis]:
    """Since opset 18 the sizes may be bounds under which the proportions are kept."""
    policy = call.text("keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        return axes
    chosen = [axes[i].scale for i in listed]
    scale = min(chosen) if policy == "not_larger" else max(chosen)
    return [
        Axis(a.index, a.source, floor(a.source * scale + 0.5), scale) if a.index in listed else a
        for a in axes
    ]


def coordinate(axis: Axis, place: int, rule: str) -> float:
    """Where in the source the place of the result lies."""
    match rule:
        case "half_pixel":
            return (place + 0.5) / axis.scale - 0.5
        case "pytorch_half_pixel":
            return (place + 0.5) / axis.scale - 0.5 if axis.target > 1 else 0.0
        case "asymmetric":
            return place / axis.scale
        case "align_corners":
            return place * (axis.source - 1) / (axis.target - 1) if axis.target > 1 else 0.0
        case "half_pixel_symmetric":
            adjustment = axis.target / (axis.scale * axis.source)
            offset = axis.source / 2 * (1 - adjustment)
            return offset + (place + 0.5) / axis.scale - 0.5
        case "tf_half_pixel_for_nn":
            return (place + 0.5) / axis.scale
        case _:
            raise BadModel(f"coordinate_transformation_mode is {rule!r}")


def _round_prefer_floor(x: float) -> int:
    return ceil(x - 0.5)


def _round_prefer_ceil(x: float) -> int:
    return floor(x + 0.5)


_ROUNDINGS = {
    "round_prefer_floor": _round_prefer_floor,
    "round_prefer_ceil": _round_prefer_ceil,
    "floor": floor,
    "ceil": ceil,
}


def _nearest(axis: Axis, rule: str, rounding: Callable[[float], int]) -> tuple[int, ...]:
    if axis.still:
        return tuple(range(axis.source))
    places = (rounding(coordinate(axis, p, rule)) for p in range(axis.target))
    return tuple(min(max(p, 0), axis.source - 1) for p in places)


def _linear(axis: Axis, rule: str) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Coordinates are held inside the source, so the edges repeat."""
    places = range(axis.target)
    held = [min(max(coordinate(axis, p, rule), 0.0), axis.source - 1.0) for p in places]
    low = tuple(floor(c) for c in held)
    return low, tuple(c - i for c, i in zip(held, low, strict=True))


RESIZE: dict[str, Translator] = {"Resize": _resize, "Upsample": _resize}
