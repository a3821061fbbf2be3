"""Functions of one value, element by element."""

from __future__ import annotations

from collections.abc import Callable

from qcompile.frontends.aten_call import (
    Call,
    Family,
    Operand,
    Refusal,
    Translator,
    cast,
    cut,
    length,
    operand,
    reshape,
)
from qcompile.ir.node import Node
from qcompile.ir.ops import pointwise as p
from qcompile.ir.ops.binary import Add, Div, Greater, Less, Maximum, Minimum, Mul, Prelu, Sub, Where
from qcompile.ir.types import BOOL


def _plain(make: Callable[[Node], Node]) -> Translator:
    """x → make(x), integers made real first where the result is."""

    def translate(call: Call, x: Node) -> Node:
        return make(cast(x, call.elem))

    return translate


def _scaled(call: Call, factor: float, x: Node) -> Node:
    return Mul(x, operand(factor, call.elem))


def _same(call: Call, x: Node, *_: object, **__: object) -> Node:
    return cast(x, call.elem)


def _dropout(call: Call, x: Node, p: float, train: bool | None, *_: object) -> Node:
    if train is not False and p > 0:
        raise Refusal("dropout that trains: export the module after .eval()")
    return x


def _native_dropout(call: Call, x: Node, p: float, train: bool | None) -> tuple[Node, None]:
    return _dropout(call, x, p, train), None


def _clamp(call: Call, x: Node, lo: Operand | None = None, hi: Operand | None = None) -> Node:
    x = cast(x, call.elem)
    if not isinstance(lo, Node) and not isinstance(hi, Node):
        least = float("-inf") if lo is None else float(lo)
        most = float("inf") if hi is None else float(hi)
        return p.Relu(x) if (least, most) == (0, float("inf")) else p.Clip(x, least, most)
    if lo is not None:
        x = Maximum(x, operand(lo, call.elem))
    return x if hi is None else Minimum(x, operand(hi, call.elem))


def _clamp_max(call: Call, x: Node, hi: Operand) -> Node:
    return _clamp(call, x, None, hi)


def _hardtanh(call: Call, x: Node, lo: float = -1, hi: float = 1) -> Node:
    return p.Clip(x, float(lo), float(hi))


def _relu6(call: Call, x: Node) -> Node:
    return p.Clip(x, 0.0, 6.0)


def _leaky_relu(call: Call, x: Node, slope: float = 0.01) -> Node:
    return p.LeakyRelu(x, float(slope))


def _prelu(call: Call, x: Node, slope: Node) -> Node:
    if slope.type.rank == 1 and x.type.rank > 1:
        slope = reshape(slope, (*slope.type.shape, *(1,) * (x.type.rank - 2)))
    return Prelu(x, slope)


def _elu(call: Call, x: Node, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Node:
    if input_scale != 1:
        raise Refusal(f"input_scale {input_scale}")
    if scale != 1:
        return p.Selu(x, alpha=float(alpha), gamma=float(scale))
    return p.Elu(x, float(alpha))


def _celu(call: Call, x: Node, alpha: float = 1) -> Node:
    return p.Celu(x, float(alpha))


def _gelu(call: Call, x: Node, *, approximate: str = "none") -> Node:
    return p.GeluTanh(x) if approximate == "tanh" else p.Gelu(x)


def _hard_sigmoid(call: Call, x: Node) -> Node:
    return p.HardSigmoid(x, alpha=1 / 6, beta=0.5)


def _softplus(call: Call, x: Node, beta: float = 1, threshold: float = 20) -> Node:
    if beta == 1:
        return p.Softplus(x)
    return _scaled(call, 1 / beta, p.Softplus(_scaled(call, beta, x)))


def _log_sigmoid(call: Call, x: Node) -> Node:
    return p.Neg(p.Softplus(p.Neg(x)))


def _log_sigmoid_forward(call: Call, x: Node) -> tuple[Node, None]:
    return _log_sigmoid(call, x), None


def _threshold(call: Call, x: Node, threshold: float, value: float) -> Node:
    if value == 0:
        return p.ThresholdedRelu(x, float(threshold))
    return Where(Greater(x, operand(threshold, call.elem)), x, operand(value, call.elem))


def _softshrink(call: Call, x: Node, lambd: float = 0.5) -> Node:
    return p.Shrink(x, bias=float(lambd), lambd=float(lambd))


def _hardshrink(call: Call, x: Node, lambd: float = 0.5) -> Node:
    return p.Shrink(x, bias=0.0, lambd=float(lambd))


def _glu(call: Call, x: Node, dim: int = -1) -> Node:
    axis = dim % x.type.rank
    half = length(x, axis) // 2
    return Mul(cut(x, axis, 0, half), p.Sigmoid(cut(x, axis, half, 2 * half)))


def _log2(call: Call, x: Node) -> Node:
    return _scaled(call, 1.4426950408889634, p.Log(cast(x, call.elem)))


def _log10(call: Call, x: Node) -> Node:
    return _scaled(call, 0.4342944819032518, p.Log(cast(x, call.elem)))


def _expm1(call: Call, x: Node) -> Node:
    return Where(Greater(x, operand(0, call.elem)), Sub(p.Exp(x), operand(1, call.elem)), p.Elu(x))


def _log1p(call: Call, x: Node) -> Node:
    return p.Log(Add(x, operand(1, call.elem)))


def _rsqrt(call: Call, x: Node) -> Node:
    return p.Reciprocal(p.Sqrt(cast(x, call.elem)))


def _square(call: Call, x: Node) -> Node:
    return Mul(x, x)


def _trunc(call: Call, x: Node) -> Node:
    if not x.type.is_float:
        return x
    return Where(Less(x, operand(0, call.elem)), p.Ceil(x), p.Floor(x))


def _round(call: Call, x: Node, *, decimals: int = 0) -> Node:
    if decimals == 0:
        return p.Round(x)
    factor = operand(10.0**decimals, call.elem)
    return Div(p.Round(Mul(x, factor)), factor)


def _tan(call: Call, x: Node) -> Node:
    return Div(p.Sin(x), p.Cos(x))


def _logical_not(call: Call, x: Node) -> Node:
    return p.Not(cast(x, BOOL))


def _bitwise_not(call: Call, x: Node) -> Node:
    if x.type.elem != BOOL:
        raise Refusal(f"on {x.type.elem}")
    return p.Not(x)


_ACTIVATIONS: Family = {
    "relu": _plain(p.Relu),
    "relu6": _relu6,
    "hardtanh": _hardtanh,
    "clamp": _clamp,
    "clip": _clamp,
    "clamp_min": _clamp,
    "clamp_max": _clamp_max,
    "leaky_relu": _leaky_relu,
    "prelu": _prelu,
    "_prelu_kernel": _prelu,
    "elu": _elu,
    "selu": _plain(p.Selu),
    "celu": _celu,
    "gelu": _gelu,
    "silu": _plain(p.Silu),
    "mish": _plain(p.Mish),
    "hardswish": _plain(p.HardSwish),
    "hardsigmoid": _hard_sigmoid,
    "sigmoid": _plain(p.Sigmoid),
    "tanh": _plain(p.Tanh),
    "softplus": _softplus,
    "log_sigmoid": _log_sigmoid,
    "log_sigmoid_forward": _log_sigmoid_forward,
    "threshold": _threshold,
    "softshrink": _softshrink,
    "hardshrink": _hardshrink,
    "glu": _glu,
}

_FUNCTIONS: Family = {
    "exp": _plain(p.Exp),
    "log": _plain(p.Log),
    "log2": _log2,
    "log10": _log10,
    "log1p": _log1p,
    "expm1": _expm1,
    "sqrt": _plain(p.Sqrt),
    "rsqrt": _rsqrt,
    "square": _square,
    "reciprocal": _plain(p.Reciprocal),
    "abs": _plain(p.Abs),
    "neg": _plain(p.Neg),
    "sign": _plain(p.Sign),
    "sgn": _plain(p.Sign),
    "floor": _plain(p.Floor),
    "ceil": _plain(p.Ceil),
    "round": _round,
    "trunc": _trunc,
    "sin": _plain(p.Sin),
    "cos": _plain(p.Cos),
    "tan": _tan,
    "erf": _plain(p.Erf),
    "logical_not": _logical_not,
    "bitwise_not": _bitwise_not,
}

_IDENTITIES: Family = dict.fromkeys(
    (
        "alias",
        "clone",
        "contiguous",
        "detach",
        "detach_",
        "lift_fresh_copy",
        "to",
        "_to_copy",
        "type_as",
        "positive",
        "identity",
    ),
    _same,
)

POINTWISE: Family = {
    **_ACTIVATIONS,
    **_FUNCTIONS,
    **_IDENTITIES,
    "dropout": _dropout,
    "feature_dropout": _dropout,
    "alpha_dropout": _dropout,
    "native_dropout": _native_dropout,
}
