"""Operators on integers that carry their scales: dequantize → float operator → quantize."""

from __future__ import annotations

from qcompile.frontends.onnx_call import Call, Opaque, Translator
from qcompile.frontends.onnx_linear import convolution
from qcompile.frontends.onnx_quant import dequantized, only_dequantized, real_constant, unit_of
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.quant import FakeQuant, Quantize
from qcompile.ir.ops.source import Const
from qcompile.ir.unit import Affine


def _qlinear_conv(call: Call) -> Node:
    """Its own dequantize → conv → quantize; scales of w are per output channel."""
    x = dequantized(call, 0)
    w = call.const(3)
    scales = tuple(float(s) for s in call.const(4).array.reshape(-1))
    points = tuple(int(z) for z in call.const(5).array.reshape(-1))
    unit = Affine(scales, points, axis=0 if len(scales) > 1 else None)
    weight = FakeQuant(real_constant(w, unit, name=w.name), w.elem, unit)
    bias = None if call.maybe(8) is None else _bias(call, unit)
    return _quantized_result(call, convolution(call, x, weight, bias), 6)


def _bias(call: Call, weight: Affine) -> Const:
    """i32 in steps of x's scale times w's."""
    q, scale = call.const(8), call.number(1)
    unit = Affine(tuple(scale * s for s in weight.scale), axis=None if weight.axis is None else 0)
    return real_constant(q, unit, name=q.name)


def _qlinear_matmul(call: Call) -> Node:
    return _quantized_result(call, MatMul(dequantized(call, 0), dequantized(call, 3)), 6)


def _quantized_result(call: Call, y: Node, at: int) -> Node:
    scale, zero = call.node.input[at], call.node.input[at + 1]
    if not only_dequantized(call, scale, zero):
        raise Opaque("integers that are read as such")
    elem = call.kind(at + 1).elem
    return Quantize(y, elem, unit_of(call, y, elem, at=at))


QLINEAR: dict[str, Translator] = {
    "QLinearConv": _qlinear_conv,
    "QLinearMatMul": _qlinear_matmul,
}
