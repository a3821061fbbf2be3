"""Spelled-out activations become one op: x·sigmoid(x), hard-swish, erf-GELU, tanh-GELU, …"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add, Greater, Mul, Pow, Where
from qcompile.ir.ops.pointwise import (
    Clip,
    Erf,
    Gelu,
    GeluTanh,
    HardSigmoid,
    HardSwish,
    Mish,
    Sigmoid,
    Silu,
    Softplus,
    Tanh,
)
from qcompile.ir.ops.source import Const
from qcompile.ir.rewrite import Site, first_of, until_same
from qcompile.passes.base import Meaning, Pass
from qcompile.passes.invariants import CANONICAL

CLOSE = 1e-3  # how far a spelled-out constant may be off
LARGE = 16.0  # where softplus(x) − x is below the step of f32


@dataclass(frozen=True)
class FuseActivations(Pass):
    """Recognizes each activation in its usual spellings (constants stand on the right)."""

    name: ClassVar[str] = "fuse-activations"
    requires = frozenset({CANONICAL})
    keeps: ClassVar[Meaning] = Meaning.CLOSELY

    def run(self, graph: Graph) -> Graph:
        """To a fixed point."""
        return until_same(graph, first_of(*_RULES))


def _gated(node: Node, site: Site) -> Node | None:
    """x · σ(x) → silu, x · hard_sigmoid(x) → hard_swish, x · tanh(softplus(x)) → mish."""
    match node:
        case Mul(a=x, b=Sigmoid(x=y)) | Mul(a=Sigmoid(x=y), b=x) if x is y:
            return Silu(x, name=node.name)
        case Mul(a=x, b=HardSigmoid(x=y) as gate) | Mul(a=HardSigmoid(x=y) as gate, b=x) if x is y:
            sixth = math.isclose(gate.alpha, 1 / 6, rel_tol=1e-3) and gate.beta == 0.5
            return HardSwish(x, name=node.name) if sixth else None
        case Mul(a=x, b=Tanh(x=Softplus(x=y))) | Mul(a=Tanh(x=Softplus(x=y)), b=x) if x is y:
            return Mish(x, name=node.name)
        case _:
            return None


def _hard_sigmoid(node: Node, site: Site) -> Node | None:
    """clip(x + 3, 0, 6) / 6 → hard_sigmoid(x; 1/6, 1/2)."""
    match node:
        case Mul(a=Clip(x=Add(a=x, b=Const() as three), lo=0.0, hi=6.0), b=Const() as sixth):
            known = value(three) == 3.0 and near(sixth, 1 / 6)
            return HardSigmoid(x, 1 / 6, 0.5, name=node.name) if known else None
        case _:
            return None


def _hard_swish(node: Node, site: Site) -> Node | None:
    """(x · clip(x + 3, 0, 6)) / 6 → hard_swish(x)."""
    match node:
        case Mul(
            a=Mul(a=x, b=Clip(x=Add(a=y, b=Const() as three), lo=0.0, hi=6.0)), b=Const() as c
        ):
            pass
        case Mul(
            a=Mul(a=Clip(x=Add(a=y, b=Const() as three), lo=0.0, hi=6.0), b=x), b=Const() as c
        ):
            pass
        case _:
            return None
    known = x is y and value(three) == 3.0 and near(c, 1 / 6)
    return HardSwish(x, name=node.name) if known else None


def _gelu(node: Node, site: Site) -> Node | None:
    """x · (1 + erf(x/√2)) · 1/2, the factors in any order and grouping."""
    match _halved(node):
        case (x, Add(a=Erf(x=inner), b=Const() as one)):
            known = value(one) == 1.0 and _is_scaled(inner, x, math.sqrt(0.5))
            return Gelu(x, name=node.name) if known else None
        case _:
            return None


def _gelu_tanh(node: Node, site: Site) -> Node | None:
    """x · (1 + tanh(√(2/π) · (x + 0.044715·x³))) · 1/2, in any order and grouping."""
    match _halved(node):
        case (x, Add(a=Tanh(x=Mul(a=Add() as inner, b=Const() as root)), b=Const() as one)):
            known = value(one) == 1.0 and near(root, math.sqrt(2 / math.pi))
            return GeluTanh(x, name=node.name) if known and _is_cubic(inner, x) else None
        case _:
            return None


def _halved(node: Node) -> tuple[Node, Node] | None:
    """(x, sum) of a product x · sum · 1/2."""
    if not isinstance(node, Mul):
        return None
    number, factors = product(node)
    if len(factors) != 2 or not math.isclose(number, 0.5, rel_tol=CLOSE):
        return None
    first, second = factors
    return (first, second) if isinstance(second, Add) else (second, first)


def _is_scaled(node: Node, x: Node, wanted: float) -> bool:
    """wanted · x."""
    number, factors = product(node)
    return factors == [x] and math.isclose(number, wanted, rel_tol=CLOSE)


def _is_cubic(node: Add, x: Node) -> bool:
    """x + 0.044715 · x³."""
    sides = [product(side) for side in (node.a, node.b)]
    sides.sort(key=lambda side: len(side[1]))
    (one, alone), (number, cube) = sides
    linear = one == 1.0 and alone == [x]
    return linear and cube == [x] * 3 and math.isclose(number, 0.044715, rel_tol=CLOSE)


def product(node: Node) -> tuple[float, list[Node]]:
    """A tree of products as one number and its other factors; x² and x³ are factors repeated."""
    match node:
        case Const() if (number := value(node)) is not None:
            return number, []
        case Mul(a=a, b=b):
            (left, some), (right, others) = product(a), product(b)
            return left * right, some + others
        case Pow(a=a, b=Const() as exponent) if value(exponent) in (2.0, 3.0):
            number, factors = product(a)
            times = int(value(exponent) or 0)
            return number**times, factors * times
        case _:
            return 1.0, [node]


def _softplus(node: Node, site: Site) -> Node | None:
    """softplus(x), but x itself where it is large enough to be the same → softplus(x)."""
    match node:
        case Where(condition=Greater(a=x, b=Const() as c), a=y, b=Softplus(x=z) as soft):
            large = value(c)
            known = x is y is z and large is not None and large >= LARGE
            return soft.replace(name=node.name) if known else None
        case _:
            return None


_RULES = (_gated, _hard_sigmoid, _hard_swish, _gelu, _gelu_tanh, _softplus)


def value(c: Const) -> float | None:
    """The one number of a constant, or None."""
    return float(c.array.reshape(-1)[0]) if c.data.nbytes <= 8 and c.array.size == 1 else None


def near(c: Const, wanted: float) -> bool:
    """True for a constant of one number close to `wanted`."""
    found = value(c)
    return found is not None and math.isclose(found, wanted, rel_tol=CLOSE)
