"""What may be added to values through functions taken index by index."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import isfinite

from qcompile.analysis.axes.laws.elementwise import Rule, Spread, along, nonlinear
from qcompile.analysis.axes.laws.law import Law, Port, kept, same, tied
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add, Binary, Div, Maximum, Minimum, Mul, Sub, Where
from qcompile.ir.ops.pointwise import Cast, Neg, Unary
from qcompile.ir.ops.source import Const


def elementwise_shifts(node: Node) -> Iterator[Law] | None:
    """The laws of an elementwise operation; None for any other."""
    match node:
        case Neg(x=x):
            return along(node, x, law=_times(Fraction(-1)))
        case Cast(x=x) if x.type.is_float and node.type.is_float:
            return along(node, x, law=_times(Fraction(1)))
        case Unary(x=x) | Cast(x=x):
            return along(node, x, law=nonlinear)
        case Where(a=a, b=b):
            return along(node, a, b, law=_extreme)
        case Binary(a=a, b=b):
            return _binary(node, a, b)
        case _:
            return None


def _binary(node: Binary, a: Node, b: Node) -> Iterator[Law]:
    match node:
        case Add():
            return along(node, a, b, law=_total(1, -1, -1))
        case Sub():
            return along(node, a, b, law=_total(1, -1, 1))
        case Mul() if (factor := _number(b)) is not None:
            return along(node, a, law=_times(factor))
        case Mul() if (factor := _number(a)) is not None:
            return along(node, b, law=_times(factor))
        case Div() if (divisor := _number(b)) is not None and divisor != 0:
            return along(node, a, law=_times(1 / divisor))
        case Maximum() | Minimum():
            return along(node, a, b, law=_extreme)
        case _:
            return along(node, a, b, law=nonlinear)


def _number(node: Node) -> Fraction | None:
    """The one finite number of a constant."""
    if not isinstance(node, Const) or node.data.size != 1:
        return None
    value = float(node.array.reshape(()))
    return Fraction(value) if isfinite(value) else None


def _times(factor: Fraction) -> Rule:
    """z = factor · x; an axis that the operand lacks has no shift."""

    def law(z: Port, found: Spread, op: str) -> Law:
        (x,) = found
        if x is None:
            return kept(z, why=f"{op} repeats one value along it")
        return tied(None, ((1, -factor),), z, x, why="")

    return law


def _total(*signs: int) -> Rule:
    """Shifts add up; an operand that is spread along the axis has none."""

    def law(z: Port, found: Spread, op: str) -> Law:
        present = [(z, signs[0])]
        present += [(p, s) for p, s in zip(found, signs[1:], strict=True) if p is not None]
        return tied(None, (tuple(s for _, s in present),), *(p for p, _ in present), why="")

    return law


def _extreme(z: Port, found: Spread, op: str) -> Law:
    """The greater, the lesser, the chosen of two: both must be shifted alike."""
    present = [port for port in found if port is not None]
    if len(present) < len(found):
        return kept(z, *present, why=f"{op} takes one value for all indices")
    return same(z, *present)
