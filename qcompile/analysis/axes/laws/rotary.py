"""Rotary embeddings, found by what they compute: each plane of an axis turned by its own angle.

z = x · cos + (−x₂, x₁) · sin, or its halves (x₁ c − x₂ s, x₂ c + x₁ s) put together again. Maps of
one plane that commute with all its turns are a·I + b·J (algorithms: "RoPE", a complex number).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from qcompile.analysis.axes.laws.law import Factor, Group, Law, Port, frozen, same, tied
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add, Mul, Sub
from qcompile.ir.ops.pointwise import Neg, Unary
from qcompile.ir.ops.shape import Concat, Expand, Gather, Reshape, Slice, Transpose
from qcompile.ir.ops.source import Const

ANGLE = "rotary embeddings turn each plane by its own angle"


@dataclass(frozen=True, slots=True)
class Rotary:
    """z turns the planes (i, i + half) of x's last axis; `inner` are the steps in between."""

    z: Node
    x: Node
    tables: tuple[Node, ...]
    inner: frozenset[Node]

    @property
    def half(self) -> int:
        """The number of planes."""
        length = self.x.type.shape[-1]
        assert isinstance(length, int)
        return length // 2


def rotaries(graph: Graph) -> dict[Node, Rotary]:
    """All rotary embeddings whose steps nothing else reads, by their result."""
    outputs = set(graph.results)
    found: dict[Node, Rotary] = {}
    for node in graph.nodes:
        match = _whole(node) or _halves(node)
        if match is None or match.inner & outputs:
            continue
        own = match.inner | {node}
        if all(user in own for step in match.inner for user in graph.users[step]):
            found[node] = match
    return found


def rotary_laws(rotary: Rotary) -> Iterator[Law]:
    """Complex numbers on each plane; one scale and one place for both of its members."""
    z, x, half = rotary.z, rotary.x, rotary.half
    last = z.type.rank - 1
    plane, index = Factor(2, half), Factor(half, 1)
    pair = Port(z, last, plane), Port(x, last, plane)
    turned = tied(Group.PAIR, ((1, 0), (0, 1)), *pair, why="rotary embeddings turn planes")
    yield replace(turned, permutes=False)
    for table in rotary.tables:
        if table.type.shape[-1] != half:
            yield frozen(Port(table, table.type.rank - 1, plane), why=ANGLE)
    tables = [Port(t, t.type.rank - 1, index) for t in rotary.tables]
    others = [Port(z, axis) for axis in range(last)]
    yield _turned(Port(z, last, index), Port(x, last, index), tables).only_across(*others)
    for own in others:
        source = Port(x, own.axis)
        across = [other for other in others if other is not own] + [Port(z, last, index)]
        known = [
            Port(t, axis)
            for t in rotary.tables
            if (axis := own.axis - last - 1 + t.type.rank) >= 0 and t.type.shape[axis] != 1
        ]
        law = _turned(own, source, known) if known else same(own, source)
        yield law.only_across(*across)


def _turned(z: Port, x: Port, tables: list[Port]) -> Law:
    """One scale on both sides, none on the tables."""
    count = 2 + len(tables)
    rows = [(1, -1, *(0,) * len(tables))]
    rows += [tuple(int(i == j) for j in range(count)) for i in range(2, count)]
    return tied(Group.NONE, tuple(rows), z, x, *tables, why=ANGLE)


def _whole(node: Node) -> Rotary | None:
    """x · cos + concat(−x₂, x₁) · sin."""
    match node:
        case Add(a=Mul() as left, b=Mul() as right):
            pass
        case _:
            return None
    for straight, crossed in ((left, right), (right, left)):
        for turn, sin in ((crossed.a, crossed.b), (crossed.b, crossed.a)):
            match turn:
                case Concat(xs=(Neg(x=Slice() as high) as minus, Slice() as low), axis=axis):
                    pass
                case _:
                    continue
            x = _sliced(low, high, axis)
            if x is None or x not in (straight.a, straight.b):
                continue
            cos = straight.b if straight.a is x else straight.a
            if _doubled(cos) and _doubled(sin):
                inner = frozenset({straight, crossed, turn, minus, high, low})
                return Rotary(node, x, (cos, sin), inner)
    return None


def _halves(node: Node) -> Rotary | None:
    """concat(x₁ c − x₂ s, x₂ c + x₁ s)."""
    match node:
        case Concat(xs=(Sub(a=Mul() as a, b=Mul() as b) as first, Add() as second), axis=axis):
            pass
        case _:
            return None
    match second:
        case Add(a=Mul() as c, b=Mul() as d):
            pass
        case _:
            return None
    for low, cos in _sides(a):
        for high, sin in _sides(b):
            x = _sliced(low, high, axis)
            crossed = {frozenset((high, cos)), frozenset((low, sin))}
            if x is None or {frozenset((c.a, c.b)), frozenset((d.a, d.b))} != crossed:
                continue
            inner = frozenset({a, b, c, d, first, second, low, high})
            return Rotary(node, x, (cos, sin), inner)
    return None


def _sides(product: Mul) -> tuple[tuple[Node, Node], tuple[Node, Node]]:
    return (product.a, product.b), (product.b, product.a)


def _sliced(low: Node, high: Node, axis: int) -> Node | None:
    """The value whose last axis these are the two halves of."""
    match low, high:
        case Slice(x=x, axes=(a,), starts=(0,), steps=(1,)), Slice(x=y, axes=(b,), steps=(1,)):
            length = x.type.shape[-1]
        case _:
            return None
    if x is not y or not a == b == axis == x.type.rank - 1 or not isinstance(length, int):
        return None
    middle = low.type.shape[-1]
    fits = high.starts == (middle,) and middle == high.type.shape[-1] == length / 2
    return x if fits else None


def _doubled(node: Node) -> bool:
    """True when both halves of the last axis are equal, by construction or by value."""
    match node:
        case Concat(xs=(a, b), axis=axis):
            return a is b and axis == node.type.rank - 1
        case Const():
            half = node.data.shape[-1] // 2 if node.data.shape else 0
            return half > 0 and np.array_equal(node.array[..., :half], node.array[..., half:])
        case Mul(a=x, b=Const() as b) if b.data.size == 1:
            return _doubled(x)
        case Unary(x=x):
            return _doubled(x)
        case _:
            return _moved_doubled(node)


def _moved_doubled(node: Node) -> bool:
    match node:
        case Reshape(x=x) | Expand(x=x):
            return x.type.shape[-1:] == node.type.shape[-1:] and _doubled(x)
        case Slice(x=x, axes=axes):
            return node.type.rank - 1 not in axes and _doubled(x)
        case Gather(x=x, axis=axis):
            return axis != x.type.rank - 1 and _doubled(x)
        case Transpose(x=x, perm=perm):
            return perm[-1] == len(perm) - 1 and _doubled(x)
        case _:
            return False
