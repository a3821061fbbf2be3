"""Element by element: functions of several values."""

from __future__ import annotations

from qcompile.errors import BadModel
from qcompile.frontends.onnx_call import Call, Translator, scalar
from qcompile.ir.dims import broadcast
from qcompile.ir.node import Node
from qcompile.ir.ops import binary as b
from qcompile.ir.ops import pointwise as p
from qcompile.ir.ops.shape import Reshape


def _binary(op: type[b.Binary]) -> Translator:
    def translate(call: Call) -> Node:
        left, right = call.x(0), call.x(1)
        return op(left, _aligned(call, left, right))

    return translate


def _aligned(call: Call, left: Node, right: Node) -> Node:
    """Before opset 7 `axis` says where the right operand's shape begins."""
    if call.opset >= 7 or not call.flag("broadcast") or not call.has("axis"):
        return right
    axis = call.integer("axis")
    start = axis if axis >= 0 else left.type.rank + axis
    trailing = left.type.rank - start - right.type.rank
    if trailing < 0:
        raise BadModel(f"{call}: axis {axis} does not align {right.type} with {left.type}")
    return Reshape(right, (*right.type.shape, *(1,) * trailing)) if trailing else right


def _several(op: type[b.Binary]) -> Translator:
    def translate(call: Call) -> Node:
        first, *rest = call.every()
        for other in rest:
            first = op(first, other)
        return first

    return translate


def _mean(call: Call) -> Node:
    total, *rest = call.every()
    for other in rest:
        total = b.Add(total, other)
    return b.Mul(total, scalar(1 / (1 + len(rest)), total)) if rest else total


def _mod(call: Call) -> Node:
    """The divisor's sign, or the dividend's with `fmod`."""
    x, y = call.x(0), call.x(1)
    if not x.type.is_float:
        if call.flag("fmod") and x.type.elem.signed:
            return b.Sub(x, b.Mul(b.Div(x, y), y))
        return b.Mod(x, y)
    rest = b.Mod(x, y)
    if call.flag("fmod"):
        return rest
    zero = scalar(0.0, rest)
    other_side = b.Xor(b.Less(rest, zero), b.Less(y, zero))
    return b.Where(b.And(other_side, p.Not(b.Equal(rest, zero))), b.Add(rest, y), rest)


def _prelu(call: Call) -> Node:
    """Before opset 7 the slope of shape [c] belongs to axis 1."""
    x, slope = call.x(0), call.x(1)
    if call.opset < 7 and slope.type.rank == 1 and slope.type.shape != (1,):
        slope = Reshape(slope, (*slope.type.shape, *(1,) * (x.type.rank - 2)))
    if broadcast(x.type.shape, slope.type.shape) != x.type.shape:
        raise BadModel(f"{call}: slope {slope.type} does not broadcast to {x.type}")
    return b.Prelu(x, slope)


BINARY: dict[str, Translator] = {
    "Add": _binary(b.Add),
    "Sub": _binary(b.Sub),
    "Mul": _binary(b.Mul),
    "Div": _binary(b.Div),
    "Pow": _binary(b.Pow),
    "And": _binary(b.And),
    "Or": _binary(b.Or),
    "Xor": _binary(b.Xor),
    "Equal": _binary(b.Equal),
    "Less": _binary(b.Less),
    "LessOrEqual": _binary(b.LessOrEqual),
    "Greater": _binary(b.Greater),
    "GreaterOrEqual": _binary(b.GreaterOrEqual),
    "Min": _several(b.Minimum),
    "Max": _several(b.Maximum),
    "Sum": _several(b.Add),
    "Mean": _mean,
    "Mod": _mod,
    "PRelu": _prelu,
    "Where": lambda call: b.Where(call.x(0), call.x(1), call.x(2)),
}
