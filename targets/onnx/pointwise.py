"""Element by element: one ONNX operator each, or a short formula where ONNX has none."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from qcompile.ir.node import Node
from qcompile.ir.ops import binary as b
from qcompile.ir.ops import pointwise as p
from qcompile.targets.onnx.bytes8 import unit_of
from qcompile.targets.onnx.model import Handler, Writer

_SAME: dict[type[Node], str] = {
    p.LeakyRelu: "LeakyRelu",
    p.Elu: "Elu",
    p.Celu: "Celu",
    p.Selu: "Selu",
    p.ThresholdedRelu: "ThresholdedRelu",
    p.Shrink: "Shrink",
    p.HardSigmoid: "HardSigmoid",
    p.Sigmoid: "Sigmoid",
    p.Tanh: "Tanh",
    p.Softplus: "Softplus",
    p.Softsign: "Softsign",
    p.Erf: "Erf",
    p.Exp: "Exp",
    p.Log: "Log",
    p.Sqrt: "Sqrt",
    p.Reciprocal: "Reciprocal",
    p.Abs: "Abs",
    p.Neg: "Neg",
    p.Sign: "Sign",
    p.Floor: "Floor",
    p.Ceil: "Ceil",
    p.Round: "Round",
    p.Sin: "Sin",
    p.Cos: "Cos",
    p.Not: "Not",
    b.Pow: "Pow",
    b.And: "And",
    b.Or: "Or",
    b.Xor: "Xor",
    b.Equal: "Equal",
    b.Less: "Less",
    b.LessOrEqual: "LessOrEqual",
    b.Greater: "Greater",
    b.GreaterOrEqual: "GreaterOrEqual",
    b.Prelu: "PRelu",
}


def same(w: Writer, node: Node) -> None:
    """The ONNX operator of the same name, attributes and meaning."""
    operands = [w.value(o) for o in node.operands]
    w.op(_SAME[type(node)], operands, out=w.names[node], **node.attributes)


def narrow(dtype: np.dtype[Any]) -> bool:
    """A 16-bit integer, for which onnxruntime lacks many kernels."""
    return dtype.kind in "iu" and dtype.itemsize == 2


def on_words(
    w: Writer, node: Node, kind: str, operands: list[str], *, since: int = 13, **attributes: Any
) -> None:
    """The operator; 16-bit integers are carried by 32 bits around it."""
    storage = node.type.elem.storage
    if not narrow(storage):
        w.op(kind, operands, out=w.names[node], since=since, **attributes)
        return
    w.cast(w.op(kind, operands, since=since, **attributes), storage, out=w.names[node])


def word(w: Writer, node: Node) -> str:
    """The node's value, in 32 bits if it has 16."""
    name = w.value(node)
    return w.cast(name, np.int32) if narrow(node.type.elem.storage) else name


def word_type(node: Node) -> np.dtype[Any]:
    """The element type of `word`."""
    storage = node.type.elem.storage
    return np.dtype(np.int32) if narrow(storage) else storage


def relu(w: Writer, node: p.Relu) -> None:
    """Relu; on integers Clip at the zero point."""
    x, unit = node.x.type, node.x.type.unit
    if x.is_float:
        w.op("Relu", [w.value(node.x)], out=w.names[node])
        return
    zero = 0 if unit is None else unit_of(node.x).zero_point[0]
    on_words(w, node, "Clip", [word(w, node.x), w.constant(zero, word_type(node))])


def clip(w: Writer, node: p.Clip) -> None:
    """Clip with the finite bounds only."""
    lo, hi = node.lo, node.hi
    if not node.type.is_float:
        lo, hi = max(lo, node.type.elem.lo), min(hi, node.type.elem.hi)
    bounds = [w.constant(v, word_type(node)) if math.isfinite(v) else "" for v in (lo, hi)]
    on_words(w, node, "Clip", [word(w, node.x), *bounds])


def hard_swish(w: Writer, node: p.HardSwish) -> None:
    """HardSwish."""
    w.op("HardSwish", [w.value(node.x)], out=w.names[node], since=14)


def silu(w: Writer, node: p.Silu) -> None:
    """x · sigmoid(x)."""
    x = w.value(node.x)
    w.op("Mul", [x, w.op("Sigmoid", [x])], out=w.names[node])


def mish(w: Writer, node: p.Mish) -> None:
    """x · tanh(softplus(x))."""
    x = w.value(node.x)
    w.op("Mul", [x, w.op("Tanh", [w.op("Softplus", [x])])], out=w.names[node])


def gelu(w: Writer, node: p.Gelu) -> None:
    """x · (1 + erf(x / √2)) / 2, in the form that onnxruntime fuses."""
    x, kind = w.value(node.x), node.type.elem.storage
    turned = w.op("Erf", [w.op("Div", [x, w.constant(math.sqrt(2), kind)])])
    double = w.op("Mul", [x, w.op("Add", [turned, w.constant(1, kind)])])
    w.op("Mul", [double, w.constant(0.5, kind)], out=w.names[node])


def gelu_tanh(w: Writer, node: p.GeluTanh) -> None:
    """x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³)))."""
    x, kind = w.value(node.x), node.type.elem.storage
    cube = w.op("Mul", [x, w.op("Mul", [x, x])])
    inner = w.op("Add", [x, w.op("Mul", [cube, w.constant(0.044715, kind)])])
    turned = w.op("Tanh", [w.op("Mul", [inner, w.constant(0.7978845608028654, kind)])])
    half = w.op("Mul", [x, w.constant(0.5, kind)])
    w.op("Mul", [half, w.op("Add", [turned, w.constant(1, kind)])], out=w.names[node])


def cast(w: Writer, node: p.Cast) -> None:
    """Cast."""
    w.cast(w.value(node.x), node.to.storage, out=w.names[node])


def add(w: Writer, node: b.Additive) -> None:
    """Add or Sub, in the operands' own format."""
    small = node.type.elem.bits < 32 and not node.type.is_float
    operands = [w.value(node.a), w.value(node.b)]
    kind = "Add" if isinstance(node, b.Add) else "Sub"
    w.op(kind, operands, out=w.names[node], since=14 if small else 13)


def mul(w: Writer, node: b.Mul) -> None:
    """Mul; on integers of the differences from the zero points, in int32."""
    if node.type.unit is None:
        small = node.type.elem.bits < 32 and not node.type.is_float
        operands = [w.value(node.a), w.value(node.b)]
        w.op("Mul", operands, out=w.names[node], since=14 if small else 13)
        return
    w.op("Mul", [centred(w, node.a), centred(w, node.b)], out=w.names[node])


def centred(w: Writer, node: Node) -> str:
    """q − zero_point in int32; made once for all its readers."""
    if (node, "centred") not in w.variants:
        name, unit = w.value(node), unit_of(node)
        if node.type.elem.storage != np.dtype(np.int32):
            name = w.cast(name, np.int32)
        if not unit.symmetric:
            zero = w.constant(unit.zero_points(node.type.rank), np.int32)
            name = w.op("Sub", [name, zero])
        w.variants[node, "centred"] = name
    return w.variants[node, "centred"]


def div(w: Writer, node: b.Div) -> None:
    """Div; an integer divided by 0 is itself, where onnxruntime would die."""
    left, right = w.value(node.a), w.value(node.b)
    kind = node.b.type.elem
    constant = w.is_constant(node.b)
    if kind.is_integer and not (constant and w.load(node.b).all()):
        zero = w.op("Equal", [right, w.constant(0, kind.storage)])
        right = w.op("Where", [zero, w.constant(1, kind.storage), right])
    w.op("Div", [left, right], out=w.names[node])


def mod(w: Writer, node: b.Mod) -> None:
    """Mod with the divisor's sign on integers, fmod on floats."""
    operands = [w.value(node.a), w.value(node.b)]
    w.op("Mod", operands, out=w.names[node], fmod=int(node.type.is_float))


def extreme(w: Writer, node: b.Minimum | b.Maximum) -> None:
    """Min or Max; in int32 below that, since onnxruntime has no kernel for fewer bits."""
    kind, storage = "Min" if isinstance(node, b.Minimum) else "Max", node.type.elem.storage
    operands = [w.value(node.a), w.value(node.b)]
    if storage.kind not in "iu" or storage.itemsize >= 4:
        w.op(kind, operands, out=w.names[node])
        return
    wide = [w.cast(value, np.int32) for value in operands]
    w.cast(w.op(kind, wide), storage, out=w.names[node])


def where(w: Writer, node: b.Where) -> None:
    """Where; i8 and 16 bits in int32, since onnxruntime before 1.31 has no kernel for them."""
    condition, kind = w.value(node.condition), node.type.elem.storage
    values = [w.value(node.a), w.value(node.b)]
    if kind != np.dtype(np.int8) and not narrow(kind):
        w.op("Where", [condition, *values], out=w.names[node])
        return
    wide = [w.cast(value, np.int32) for value in values]
    w.cast(w.op("Where", [condition, *wide]), kind, out=w.names[node])


POINTWISE: dict[type[Node], Handler] = {
    **dict.fromkeys(_SAME, same),
    p.Relu: relu,
    p.Clip: clip,
    p.HardSwish: hard_swish,
    p.Silu: silu,
    p.Mish: mish,
    p.Gelu: gelu,
    p.GeluTanh: gelu_tanh,
    p.Cast: cast,
    b.Add: add,
    b.Sub: add,
    b.Mul: mul,
    b.Div: div,
    b.Mod: mod,
    b.Minimum: extreme,
    b.Maximum: extreme,
    b.Where: where,
}
