"""Laws of functions of one or more values, index by index, with broadcasting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from math import inf
from typing import TypeAlias

from qcompile.analysis.axes.laws.law import (
    Group,
    Law,
    Port,
    homogeneous,
    kept,
    power,
    product,
    quotient,
    same,
    tied,
)
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add, Binary, Div, Maximum, Minimum, Mul, Pow, Prelu, Sub, Where
from qcompile.ir.ops.pointwise import (
    Abs,
    Cast,
    Clip,
    LeakyRelu,
    Neg,
    Reciprocal,
    Relu,
    Sqrt,
    Unary,
)
from qcompile.ir.ops.source import Const

Spread: TypeAlias = list[Port | None]
Rule: TypeAlias = Callable[[Port, Spread, str], Law]


def elementwise_laws(node: Node) -> Iterator[Law] | None:
    """The laws of an elementwise operation; None for any other."""
    match node:
        case Unary(x=x) | Cast(x=x):
            return along(node, x, law=_unary_law(node))
        case Prelu(x=x, slope=slope):
            return along(node, x, slope, law=_slope)
        case Where(condition=condition, a=a, b=b):
            return along(node, condition, a, b, law=_choice)
        case _:
            return _binary_laws(node)


def _unary_law(node: Node) -> Rule:
    match node:
        case Neg():
            return _linear
        case Cast(x=x) if x.type.is_float and node.type.is_float:
            return _linear
        case Relu() | LeakyRelu() | Abs():
            return _homogeneous
        case Clip(lo=lo, hi=hi) if lo in (0, -inf) and hi in (0, inf):
            return _homogeneous
        case Sqrt():
            return _raised(Fraction(1, 2))
        case Reciprocal():
            return _raised(Fraction(-1))
        case _:
            return nonlinear


def _binary_laws(node: Node) -> Iterator[Law] | None:
    match node:
        case Add(a=a, b=b) | Sub(a=a, b=b):
            return along(node, a, b, law=_sum)
        case Mul(a=a, b=b):
            return along(node, a, b, law=_product)
        case Div(a=a, b=b):
            return along(node, a, b, law=_quotient)
        case Pow(a=a, b=Const() as b) if b.data.size == 1:
            exponent = Fraction(float(b.array.reshape(()))).limit_denominator(64)
            return along(node, a, law=_raised(exponent))
        case Maximum(a=a, b=b) | Minimum(a=a, b=b):
            return along(node, a, b, law=_homogeneous)
        case Binary(a=a, b=b):
            return along(node, a, b, law=nonlinear)
        case _:
            return None


def along(node: Node, *operands: Node, law: Rule) -> Iterator[Law]:
    """The law of each axis of the result; an operand that is spread along it counts as None."""
    rank = node.type.rank
    for i in range(rank):
        if node.type.shape[i] == 1:
            continue
        found: Spread = []
        for operand in operands:
            j = i - rank + operand.type.rank
            has = j >= 0 and operand.type.shape[j] != 1
            found.append(Port(operand, j) if has else None)
        yield law(Port(node, i), found, node.op)


def nonlinear(z: Port, found: Spread, op: str) -> Law:
    """Index by index and no more: permutations only."""
    return kept(z, *_present(found), why=f"{op} is taken of each index apart")


def _linear(z: Port, found: Spread, op: str) -> Law:
    return same(z, *_present(found))


def _homogeneous(z: Port, found: Spread, op: str) -> Law:
    if None in found:
        return kept(z, *_present(found), why=f"{op} compares with one value for all indices")
    return homogeneous(z, *_present(found), why=f"{op} is taken of each index apart")


def _raised(exponent: Fraction) -> Rule:
    upper, lower = exponent.numerator, exponent.denominator

    def law(z: Port, found: Spread, op: str) -> Law:
        (x,) = _present(found)
        return power(z, x, upper=upper, lower=lower, why=f"{op} is taken of each index apart")

    return law


def _sum(z: Port, found: Spread, op: str) -> Law:
    if None in found and not _zero(found, z.value):
        return kept(z, *_present(found), why=f"{op} adds one value to all indices")
    return same(z, *_present(found))


def _product(z: Port, found: Spread, op: str) -> Law:
    match found:
        case [Port() as a, Port() as b]:
            return product(z, a, b, why=f"{op} multiplies each index by its own number")
        case _:
            return same(z, *_present(found))


def _quotient(z: Port, found: Spread, op: str) -> Law:
    why = f"{op} divides each index by its own number"
    match found:
        case [Port() as a, Port() as b]:
            return quotient(z, a, b, why=why)
        case [None, Port() as b]:
            return power(z, b, upper=-1, why=why)
        case _:
            return same(z, *_present(found))


def _slope(z: Port, found: Spread, op: str) -> Law:
    why = f"{op} is taken of each index apart"
    match found:
        case [Port() as x, Port() as slope]:
            return tied(Group.NONE, ((1, -1, 0), (0, 0, 1)), z, x, slope, why=why)
        case _:
            return homogeneous(z, *_present(found), why=why)


def _choice(z: Port, found: Spread, op: str) -> Law:
    """z = a or b: linear in both together, each index by its own condition."""
    condition, a, b = found
    if (a is None or b is None) and not _zero([a, b], z.value):
        return kept(z, *_present(found), why=f"{op} puts one value at all indices")
    values = _present([a, b])
    if condition is None:
        return same(z, *values)
    count = len(values) + 1
    rows = [
        tuple(1 if i == 0 else -1 if i == j else 0 for i in range(count + 1))
        for j in range(1, count)
    ]
    rows.append((*(0,) * count, 1))
    why = f"{op} chooses each index by its own condition"
    return tied(Group.NONE, tuple(rows), z, *values, condition, why=why)


def _present(found: Spread) -> list[Port]:
    return [port for port in found if port is not None]


def _zero(found: Spread, node: Node) -> bool:
    """True when what is spread is the number 0, which every linear map keeps."""
    operands = node.operands[-len(found) :]
    spread = [o for o, port in zip(operands, found, strict=True) if port is None]
    return all(isinstance(o, Const) and o.data.size == 1 and not o.array.any() for o in spread)
