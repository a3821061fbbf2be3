"""Where reals become integers and integers become reals."""

from __future__ import annotations

import numpy as np

from qcompile.errors import NotLegal
from qcompile.ir.node import Node
from qcompile.ir.ops.quant import (
    LEAST_PEAK,
    Dequantize,
    FakeQuant,
    FakeQuantDynamic,
    Observe,
    Quantize,
)
from qcompile.ir.types import Scalar
from qcompile.ir.unit import Affine
from qcompile.targets.onnx.bytes8 import unit_of
from qcompile.targets.onnx.model import Writer
from qcompile.targets.onnx.rescale import multiplied


def quantize(w: Writer, node: Quantize) -> None:
    """QuantizeLinear to 8 bits; NaN goes in as 0, since onnxruntime makes it the least integer."""
    x = w.value(node.x)
    clean = w.op("Where", [w.op("IsNaN", [x]), w.constant(0, np.float32), x])
    if node.elem.bits > 8:
        _quantize_wide(w, node, clean)
        return
    narrow = node.elem.bits < 8
    whole = quantize_linear(w, clean, node.elem, node.unit, out=None if narrow else w.names[node])
    if narrow:
        bounds = [w.constant(b, node.elem.storage) for b in (node.elem.lo, node.elem.hi)]
        w.op("Clip", [whole, *bounds], out=w.names[node])


def quantize_linear(
    w: Writer, x: str, elem: Scalar, unit: Affine, *, out: str | None = None, since: int = 13
) -> str:
    """x on the unit's grid, in the element's storage.

    The zero point is no other operator's: onnxruntime's weight rewrites trip over a shared one.
    """
    zero = np.broadcast_to(np.array(unit.zero_point), (len(unit.scale),))
    one = unit.axis is None
    scale = w.constant(unit.scale[0] if one else unit.scale, np.float32)
    point = w.unshared(zero[0] if one else zero, elem.storage)
    return w.op("QuantizeLinear", [x, scale, point], out=out, axis=unit.axis, since=since)


def _quantize_wide(w: Writer, node: Quantize, x: str) -> None:
    """Divide, round to even, clip and cast; then add the zero point, which is 0 for 32 bits."""
    if node.elem.bits > 24:
        raise NotLegal(f"{node}: quantizes to at most 24 bits, not {node.elem}")
    steps = snapped(w, x, node.elem, node.unit, node.type.rank)
    zero = w.constant(node.unit.zero_points(node.type.rank), np.int32)
    whole = w.op("Add", [w.cast(steps, np.int32), zero])
    w.cast(whole, node.elem.storage, out=w.names[node])


def snapped(w: Writer, x: str, elem: Scalar, unit: Affine, rank: int) -> str:
    """clip(round_half_even(x / scale), lo − z, hi − z), in float32."""
    zero = unit.zero_points(rank)
    steps = w.op("Round", [w.op("Div", [x, w.constant(unit.scales(rank), np.float32)])])
    raised = w.op("Max", [steps, w.constant(elem.lo - zero, np.float32)])
    return w.op("Min", [raised, w.constant(elem.hi - zero, np.float32)])


def dequantize(w: Writer, node: Dequantize) -> None:
    """Cast, subtract, cast, multiply: no DequantizeLinear, which onnxruntime would fuse."""
    unit, rank = unit_of(node.x), node.type.rank
    storage = node.x.type.elem.storage
    name = w.value(node.x) if unit.group is None else multiplied(w, node.x)
    if not unit.symmetric:
        wide = np.int32 if storage.itemsize <= 2 else np.int64
        zero = w.constant(unit.zero_points(rank), wide)
        name = w.op("Sub", [w.cast(name, wide), zero])
    real = w.cast(name, np.float32)
    w.op("Mul", [real, w.constant(unit.scales(rank), np.float32)], out=w.names[node])


def observe(w: Writer, node: Observe) -> None:
    """The value itself."""
    w.op("Identity", [w.value(node.x)], out=w.names[node])


def fake_quant(w: Writer, node: FakeQuant) -> None:
    """Snapped to the grid by float operators, of any width; nothing that onnxruntime fuses."""
    check_ungrouped(node, node.unit)
    steps = snapped(w, w.value(node.x), node.elem, node.unit, node.type.rank)
    scale = w.constant(node.unit.scales(node.type.rank), np.float32)
    w.op("Mul", [steps, scale], out=w.names[node])


def fake_quant_dynamic(w: Writer, node: FakeQuantDynamic) -> None:
    """The scale of each vector and what it snaps to, by float operators."""
    x, axis = w.value(node.x), [node.axis]
    peak = w.op("ReduceMax", [w.op("Abs", [x])], axes=axis, keepdims=1)
    guarded = w.op("Max", [peak, w.constant(LEAST_PEAK, np.float32)])
    scale = w.op("Div", [guarded, w.constant(node.elem.hi, np.float32)])
    steps = w.op("Round", [w.op("Div", [x, scale])])
    w.op("Mul", [steps, scale], out=w.names[node])


def check_ungrouped(node: Node, unit: Affine) -> None:
    """Refuses scales per block, which are not written yet."""
    if unit.group is not None:
        raise NotLegal(f"{node}: scales per group are not written to ONNX")
