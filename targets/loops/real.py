"""Float functions as expressions, by their textbook formulas."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from qcompile.errors import NotLegal
from qcompile.ir.node import Node
from qcompile.ir.ops import pointwise as p
from qcompile.targets.loops import expr as e


def unary(node: p.Unary, x: e.Expr) -> e.Expr:
    """A unary float (or bool) function of x."""
    if isinstance(node, p.Not):
        return e.Unary(0, 1, "i32", "not", x)
    if not x.is_float:
        return _whole(node, x)
    formula = _FORMULAS.get(type(node))
    if formula is None:
        raise NotLegal(f"{node}: no kernel for {node.op}")
    return formula(node, x)


def _whole(node: p.Unary, x: e.Expr) -> e.Expr:
    match node:
        case p.Relu():
            return e.clip(x, 0, e.INT32[1])
        case p.Neg():
            return e.sub(e.imm(0), x)
        case p.Clip(lo=lo, hi=hi):
            return e.clip(x, int(max(lo, e.INT32[0])), int(min(hi, e.INT32[1])))
        case _:
            raise NotLegal(f"{node}: no integer kernel for {node.op}")


def number(value: float) -> e.Expr:
    """A float constant."""
    return e.imm(value, "f32")


def call(name: str, x: e.Expr) -> e.Expr:
    """A float function by name."""
    return e.Unary(0, 0, "f32", name, x)


def pair(op: str, a: e.Expr, b: e.Expr) -> e.Expr:
    """A float operation on two values."""
    return e.Binary(0, 0, "f32", op, a, b)


def choose(op: str, a: e.Expr, b: e.Expr, yes: e.Expr, no: e.Expr) -> e.Expr:
    """yes where a `op` b, else no."""
    return e.Select(0, 0, "f32", e.Binary(0, 1, "i32", op, a, b), yes, no)


def sigmoid(x: e.Expr) -> e.Expr:
    """1 / (1 + e^−x)."""
    return pair("div", number(1), pair("add", number(1), call("exp", pair("sub", number(0), x))))


def _softplus(x: e.Expr) -> e.Expr:
    small = call("exp", pair("sub", number(0), call("abs", x)))
    return pair("add", pair("max", x, number(0)), call("log", pair("add", number(1), small)))


def _hard_sigmoid(x: e.Expr, alpha: float, beta: float) -> e.Expr:
    line = pair("add", pair("mul", x, number(alpha)), number(beta))
    return pair("min", pair("max", line, number(0)), number(1))


def _minus_one_exp(x: e.Expr) -> e.Expr:
    return pair("sub", call("exp", pair("min", x, number(0))), number(1))


def _gelu_tanh(x: e.Expr) -> e.Expr:
    cube = pair("mul", pair("mul", x, x), pair("mul", x, number(0.044715)))
    inner = pair("mul", pair("add", x, cube), number(math.sqrt(2 / math.pi)))
    return pair("mul", pair("mul", x, number(0.5)), pair("add", number(1), call("tanh", inner)))


def _gelu(x: e.Expr) -> e.Expr:
    phi = pair("add", number(1), call("erf", pair("mul", x, number(math.sqrt(0.5)))))
    return pair("mul", pair("mul", x, number(0.5)), phi)


def _clip(x: e.Expr, lo: float, hi: float) -> e.Expr:
    held = x if lo == -math.inf else pair("max", x, number(lo))
    return held if hi == math.inf else pair("min", held, number(hi))


def _shrink(x: e.Expr, bias: float, lambd: float) -> e.Expr:
    high = choose("gt", x, number(lambd), pair("sub", x, number(bias)), number(0))
    return choose("lt", x, number(-lambd), pair("add", x, number(bias)), high)


def _selu(x: e.Expr, alpha: float, gamma: float) -> e.Expr:
    low = pair("mul", number(alpha), _minus_one_exp(x))
    return pair("mul", number(gamma), choose("gt", x, number(0), x, low))


def _celu(x: e.Expr, alpha: float) -> e.Expr:
    low = pair("mul", number(alpha), _minus_one_exp(pair("div", x, number(alpha))))
    return pair("add", pair("max", x, number(0)), low)


def _sign(x: e.Expr) -> e.Expr:
    below = choose("lt", x, number(0), number(-1), number(0))
    return choose("gt", x, number(0), number(1), below)


Formula = Callable[[Any, e.Expr], e.Expr]


def _plain(name: str) -> Formula:
    return lambda _, x: call(name, x)


_FORMULAS: Mapping[type[Node], Formula] = {
    p.Relu: lambda _, x: pair("max", x, number(0)),
    p.Clip: lambda n, x: _clip(x, n.lo, n.hi),
    p.LeakyRelu: lambda n, x: choose("ge", x, number(0), x, pair("mul", x, number(n.alpha))),
    p.Elu: lambda n, x: choose(
        "ge", x, number(0), x, pair("mul", number(n.alpha), _minus_one_exp(x))
    ),
    p.Celu: lambda n, x: _celu(x, n.alpha),
    p.Selu: lambda n, x: _selu(x, n.alpha, n.gamma),
    p.ThresholdedRelu: lambda n, x: choose("gt", x, number(n.alpha), x, number(0)),
    p.Shrink: lambda n, x: _shrink(x, n.bias, n.lambd),
    p.HardSigmoid: lambda n, x: _hard_sigmoid(x, n.alpha, n.beta),
    p.HardSwish: lambda _, x: pair("mul", x, _hard_sigmoid(x, 1 / 6, 0.5)),
    p.Sigmoid: lambda _, x: sigmoid(x),
    p.Silu: lambda _, x: pair("mul", x, sigmoid(x)),
    p.Gelu: lambda _, x: _gelu(x),
    p.GeluTanh: lambda _, x: _gelu_tanh(x),
    p.Softplus: lambda _, x: _softplus(x),
    p.Softsign: lambda _, x: pair("div", x, pair("add", number(1), call("abs", x))),
    p.Mish: lambda _, x: pair("mul", x, call("tanh", _softplus(x))),
    p.Reciprocal: lambda _, x: pair("div", number(1), x),
    p.Neg: lambda _, x: pair("sub", number(0), x),
    p.Sign: lambda _, x: _sign(x),
    p.Erf: _plain("erf"),
    p.Exp: _plain("exp"),
    p.Log: _plain("log"),
    p.Sqrt: _plain("sqrt"),
    p.Abs: _plain("abs"),
    p.Tanh: _plain("tanh"),
    p.Floor: _plain("floor"),
    p.Ceil: _plain("ceil"),
    p.Round: _plain("round"),
    p.Sin: _plain("sin"),
    p.Cos: _plain("cos"),
}
