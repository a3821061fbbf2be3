"""Element by element: functions of one value, casts."""

from __future__ import annotations

import numpy as np

from qcompile.errors import BadModel
from qcompile.frontends.onnx_call import Call, Opaque, Translator, scalar
from qcompile.frontends.onnx_tensor import elem_of
from qcompile.ir.node import Node
from qcompile.ir.ops import pointwise as p
from qcompile.ir.ops.binary import Equal, Maximum, Minimum, Mul
from qcompile.ir.ops.source import Const
from qcompile.ir.types import F32, F64, Scalar


def _unary(op: type[p.Unary]) -> Translator:
    return lambda call: op(call.x())


def _elu(call: Call) -> Node:
    return p.Elu(call.x(), call.real("alpha", 1.0))


def _celu(call: Call) -> Node:
    return p.Celu(call.x(), call.real("alpha", 1.0))


def _selu(call: Call) -> Node:
    alpha = call.real("alpha", 1.67326319217681884765625)
    return p.Selu(call.x(), alpha, call.real("gamma", 1.05070102214813232421875))


def _leaky_relu(call: Call) -> Node:
    return p.LeakyRelu(call.x(), call.real("alpha", 0.01))


def _thresholded_relu(call: Call) -> Node:
    return p.ThresholdedRelu(call.x(), call.real("alpha", 1.0))


def _shrink(call: Call) -> Node:
    return p.Shrink(call.x(), call.real("bias", 0.0), call.real("lambd", 0.5))


def _hard_sigmoid(call: Call) -> Node:
    return p.HardSigmoid(call.x(), call.real("alpha", 0.2), call.real("beta", 0.5))


def _gelu(call: Call) -> Node:
    match call.text("approximate", "none"):
        case "none":
            return p.Gelu(call.x())
        case "tanh":
            return p.GeluTanh(call.x())
        case other:
            raise BadModel(f"{call}: approximate is {other!r}")


def _swish(call: Call) -> Node:
    alpha, x = call.real("alpha", 1.0), call.x()
    return p.Silu(x) if alpha == 1 else Mul(x, p.Sigmoid(Mul(x, scalar(alpha, x))))


def _clip(call: Call) -> Node:
    """Bounds are attributes before opset 11, inputs since."""
    if call.opset < 11:
        least = float(np.finfo(np.float32).min)
        lo, hi = call.real("min", least), call.real("max", -least)
        return p.Clip(call.x(), -np.inf if lo == least else lo, np.inf if hi == -least else hi)
    x, lo_node, hi_node = call.x(), call.maybe(1), call.maybe(2)
    if all(isinstance(bound, Const | None) for bound in (lo_node, hi_node)):
        lo = -np.inf if lo_node is None else call.number(1)
        return p.Clip(x, lo, np.inf if hi_node is None else call.number(2))
    low = x if lo_node is None else Maximum(x, lo_node)
    return low if hi_node is None else Minimum(low, hi_node)


def _cast(call: Call) -> Node:
    to = elem_of(call.integer("to"), where=str(call))
    return _convert(call, call.x(), to)


def _cast_like(call: Call) -> Node:
    return _convert(call, call.x(), call.kind(1).elem)


_LARGEST = {"f8e4m3": 448.0, "f8e5m2": 57344.0}


def _convert(call: Call, x: Node, to: Scalar) -> Node:
    """Eight-bit floats saturate unless the node says otherwise."""
    if x.type.elem == to:
        return x
    if to.name in ("f8e8m0", "f4e2m1") or (to.is_integer and to.bits < 8):
        raise Opaque(f"casts {x.type.elem} to {to}")
    if to.name not in _LARGEST or not call.flag("saturate", default=True):
        return p.Cast(x, to)
    wide = x if x.type.elem in (F32, F64) else p.Cast(x, F32)
    return p.Cast(p.Clip(wide, -_LARGEST[to.name], _LARGEST[to.name]), to)


def _dropout(call: Call) -> Node:
    """Identity at inference; with a training flag that is not false it stays foreign."""
    training = call.maybe(2)
    if training is not None and call.number(2) != 0:
        raise Opaque("drops at random")
    if len(call.wanted) > 1 and call.wanted[1]:
        raise Opaque("the mask is used")
    return call.x()


def _is_nan(call: Call) -> Node:
    """What differs from itself."""
    return p.Not(Equal(call.x(), call.x()))


def _is_infinite(call: Call) -> Node:
    x = call.x()
    above, below = (call.flag(f"detect_{side}", default=True) for side in ("positive", "negative"))
    if above and below:
        return Equal(p.Abs(x), scalar(np.inf, x))
    return Equal(x, scalar(np.inf if above else -np.inf if below else np.nan, x))


POINTWISE: dict[str, Translator] = {
    "Abs": _unary(p.Abs),
    "Ceil": _unary(p.Ceil),
    "Celu": _celu,
    "Clip": _clip,
    "Cos": _unary(p.Cos),
    "Elu": _elu,
    "Erf": _unary(p.Erf),
    "Exp": _unary(p.Exp),
    "Floor": _unary(p.Floor),
    "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _unary(p.HardSwish),
    "IsInf": _is_infinite,
    "IsNaN": _is_nan,
    "LeakyRelu": _leaky_relu,
    "Log": _unary(p.Log),
    "Mish": _unary(p.Mish),
    "Neg": _unary(p.Neg),
    "Not": _unary(p.Not),
    "Reciprocal": _unary(p.Reciprocal),
    "Relu": _unary(p.Relu),
    "Round": _unary(p.Round),
    "Selu": _selu,
    "Shrink": _shrink,
    "Sigmoid": _unary(p.Sigmoid),
    "Sign": _unary(p.Sign),
    "Sin": _unary(p.Sin),
    "Softplus": _unary(p.Softplus),
    "Softsign": _unary(p.Softsign),
    "Sqrt": _unary(p.Sqrt),
    "Swish": _swish,
    "Tanh": _unary(p.Tanh),
    "ThresholdedRelu": _thresholded_relu,
    "Cast": _cast,
    "CastLike": _cast_like,
    "Dropout": _dropout,
    "Identity": lambda call: call.x(),
}
