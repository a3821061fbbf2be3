"""Models that are quantized already: their scales and zero points are kept.

Quantize → dequantize becomes `FakeQuant`; an integer weight that is dequantized becomes the float
constant under the `FakeQuant` of its own unit. Integers that anything else reads stay plain.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from qcompile.errors import BadModel
from qcompile.frontends.onnx_call import Call, Opaque, Translator, axis_of, scalar
from qcompile.frontends.onnx_tensor import elem_of
from qcompile.ir.blob import Blob
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Mul, Sub
from qcompile.ir.ops.pointwise import Cast
from qcompile.ir.ops.quant import Dequantize, FakeQuant, Quantize, to_reals
from qcompile.ir.ops.source import Const, const
from qcompile.ir.types import F32, Array, Scalar
from qcompile.ir.unit import Affine

_SNAPPED_BITS = 16  # wider integers (biases) do not survive a trip through float32


def _quantize(call: Call) -> Node:
    x = call.x()
    if call.integer("block_size", 0):
        raise Opaque("scales for blocks")
    elem = _target(call)
    unit = unit_of(call, x, elem)
    scale, zero = [*call.node.input[1:3], "", ""][:2]
    if x.type.elem != F32 or not only_dequantized(call, scale, zero):
        raise Opaque("integers that are read as such")
    return Quantize(x, elem, unit)


def _target(call: Call) -> Scalar:
    if call.maybe(2) is not None:
        return call.kind(2).elem
    code = call.integer("output_dtype", 0)
    return elem_of(code, where=str(call)) if code else Scalar("u8")


def only_dequantized(call: Call, scale: str, zero: str) -> bool:
    """Every reader turns the integers back to reals by the same scale and zero point."""
    name = call.node.output[0]
    return all(
        reader.input[start : start + 3] == [name, scale, zero]
        and (reader.op_type != "DequantizeLinear" or _axis(reader) == _axis(call.node))
        for reader in call.readers
        for start in _places(reader, name)
    )


def _places(reader: onnx.NodeProto, name: str) -> list[int]:
    """Where the reader reads it; −4 (which never fits) when it reads the plain integers."""
    starts = _TRIPLES.get(reader.op_type, ())
    return [i if i in starts else -4 for i, given in enumerate(reader.input) if given == name]


_TRIPLES = {"DequantizeLinear": (0,), "QLinearConv": (0,), "QLinearMatMul": (0, 3)}


def _axis(node: onnx.NodeProto) -> int:
    return next((a.i for a in node.attribute if a.name == "axis"), 1)


def unit_of(call: Call, x: Node, elem: Scalar, *, at: int = 1) -> Affine:
    """The constant scale and zero point (inputs `at` and the next) as a unit of x."""
    if not elem.is_integer:
        raise Opaque(f"quantizes to {elem}")
    scale = call.const(at).array.astype(np.float64)
    zero = np.zeros(1) if call.maybe(at + 1) is None else call.const(at + 1).array
    if scale.ndim > 1 and scale.size > 1:
        raise Opaque("scales for blocks")
    if not np.isfinite(scale).all() or not (scale > 0).all():
        raise BadModel(f"{call}: scales must be positive and finite, got {scale.reshape(-1)[:4]}")
    scales = tuple(float(s) for s in scale.reshape(-1))
    points = tuple(int(z) for z in zero.reshape(-1))
    if scale.size == 1:
        return Affine(scales, points)
    axis = axis_of(call, call.integer("axis", 1), x.type.rank)
    if len(scales) != x.type.shape[axis]:
        raise BadModel(f"{call}: {len(scales)} scales for axis {axis} of {x.type}")
    return Affine(scales, points if any(points) else (0,), axis=axis)


def _dequantize(call: Call) -> Node:
    x = call.x()
    if call.kind(1).elem != F32:
        raise Opaque(f"dequantizes to {call.kind(1).elem}")
    blocked = bool(call.integer("block_size", 0)) or call.kind(1).rank > 1
    if isinstance(x, Const) and blocked:
        return _unblocked(call, x)
    return dequantized(call, 0)


def dequantized(call: Call, at: int) -> Node:
    """The reals that operand `at` stands for, by the scale and zero point that follow it."""
    match call.x(at):
        case Quantize() as x:
            return FakeQuant(x.x, x.elem, x.unit)
        case x if x.type.is_float:
            return _scaled_floats(call, x, at)
        case Const() as x:
            return _weight(call, x, at)
        case x if x.type.unit is not None:
            return Dequantize(x)
        case x:
            return _spelled_out(x, unit_of(call, x, x.type.elem, at=at + 1))


def _weight(call: Call, q: Const, at: int) -> Node:
    unit = unit_of(call, q, q.elem, at=at + 1)
    real = real_constant(q, unit, name=call.node.input[at])
    if q.elem.bits > _SNAPPED_BITS:
        return real
    return FakeQuant(real, q.elem, unit)


def real_constant(q: Const, unit: Affine, *, name: str) -> Const:
    """float32(q − zero_point) · scale, worked out when it is loaded."""

    def load() -> Array:
        return to_reals(q.array, unit)

    return Const(Blob(q.data.shape, np.dtype(np.float32), load), F32, name=name)


def _unblocked(call: Call, q: Const) -> Node:
    """One scale for `block_size` consecutive elements along the axis; the float constant."""
    if not q.elem.is_integer:
        raise Opaque(f"blocks of {q.elem}")
    block = call.integer("block_size", 0)
    axis = axis_of(call, call.integer("axis", 1), q.type.rank)
    scale, length = call.const(1).array, q.data.shape[axis]
    zero = np.zeros_like(scale) if call.maybe(2) is None else call.const(2).array
    if block < 1 or scale.shape != zero.shape or scale.shape[axis] != -(-length // block):
        raise BadModel(f"{call}: scales {list(scale.shape)} for {q.type} in blocks of {block}")

    def load() -> Array:
        place = np.arange(length) // block
        steps: Any = q.array.astype(np.int64) - np.take(zero.astype(np.int64), place, axis)
        return steps.astype(np.float32) * np.take(scale, place, axis)

    return Const(Blob(q.data.shape, np.dtype(np.float32), load), F32, name=call.name)


def _scaled_floats(call: Call, x: Node, at: int) -> Node:
    """Narrow floats: x · scale; their zero point is always 0."""
    scale = call.const(at + 1)
    if scale.data.shape not in ((), (1,)):
        raise Opaque(f"scales per channel of {x.type.elem}")
    return Mul(Cast(x, F32), scalar(float(scale.array.reshape(-1)[0]), scale))


def _spelled_out(x: Node, unit: Affine) -> Node:
    """float32(q − zero_point) · scale on plain integers."""
    rank = x.type.rank
    steps: Node = Cast(x, F32)
    if not unit.symmetric:
        zero = unit.zero_points(rank).astype(np.float32)
        steps = Sub(steps, const(zero if unit.axis is not None else zero.reshape(())))
    if unit.per_tensor:
        return Mul(steps, scalar(unit.scale[0], steps))
    return Mul(steps, const(unit.scales(rank).astype(np.float32)))


QUANT: dict[str, Translator] = {
    "QuantizeLinear": _quantize,
    "DequantizeLinear": _dequantize,
}
