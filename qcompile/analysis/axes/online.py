"""Online sites: contractions whose input no matrix reaches for nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from qcompile.analysis.axes.blocker import Blocker
from qcompile.analysis.axes.laws.law import Group
from qcompile.analysis.axes.sites import OnlineSite, Side
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add, Mul, Where
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.pointwise import Cast
from qcompile.ir.ops.reduce import Softmax
from qcompile.ir.ops.shape import Expand, Reshape, Transpose
from qcompile.ir.ops.source import Const

Bound = Callable[[Node, int], tuple[Group, tuple[Blocker, ...]]]
"""(value, axis) → what may act on all of it for nothing, and why no more."""


def online_sites_of(graph: Graph, names: dict[Node, str], bound: Bound) -> Iterator[OnlineSite]:
    """In graph order, one for each edge: all constants that read it take the inverse."""
    readers: dict[tuple[Node, int], list[Node]] = {}
    for node in graph.nodes:
        edge = _constant_edge(node)
        if edge is not None:
            readers.setdefault((edge.value, edge.axis), []).append(node)
    for (value, axis), own in readers.items():
        group, blockers = bound(value, axis)
        length = value.type.shape[axis]
        if group < Group.ORTHOGONAL and isinstance(length, int) and length > 1:
            role = "R4" if _gated(value) else ""
            side = Side(value, axis)
            yield OnlineSite(names[value], role, length, side, tuple(own), None, blockers)
    for node in graph.nodes:
        yield from _pair(graph, node, names, bound)


def _constant_edge(node: Node) -> Side | None:
    """The computed side of a contraction with a constant."""
    match node:
        case Conv(x=x, w=Const(), groups=1) | ConvTranspose(x=x, w=Const(), groups=1):
            return None if isinstance(x, Const) else Side(x, 1)
        case MatMul(a=a, b=Const()):
            return None if isinstance(a, Const) else Side(a, a.type.rank - 1)
        case MatMul(a=Const(), b=b):
            return Side(b, b.type.rank - 2)
        case _:
            return None


def _pair(graph: Graph, node: Node, names: dict[Node, str], bound: Bound) -> Iterator[OnlineSite]:
    """Both sides of a product of two computed values, but for attention's average of values."""
    match node:
        case MatMul(a=a, b=b) if not isinstance(a, Const) and not isinstance(b, Const):
            length = a.type.shape[-1]
        case _:
            return
    if not isinstance(length, int) or length == 1 or _averages(a) or _averages(b):
        return
    group, blockers = bound(a, a.type.rank - 1)
    if group >= Group.ORTHOGONAL:
        return
    left, first = _climbed(graph, Side(a, a.type.rank - 1), node)
    right, second = _climbed(graph, Side(b, b.type.rank - 2), node)
    if left.value is right.value:
        return
    yield OnlineSite(names[left.value], "R3", length, left, (first, second), right, blockers)


def _climbed(graph: Graph, side: Side, reader: Node) -> tuple[Side, Node]:
    """Before moves that leave the axis whole, and numbers that all is multiplied by, where nothing
    else reads them: what a cache holds.

    With the node that reads it there.
    """
    while graph.sole(side.value):
        before = _before(side)
        if before is None:
            break
        side, reader = before, side.value
    return side, reader


def _before(side: Side) -> Side | None:
    value, axis = side.value, side.axis
    behind = value.type.rank - axis
    match value:
        case Transpose(x=x, perm=perm):
            return Side(x, perm[axis])
        case Mul(a=x, b=Const() as factor) if factor.data.size == 1 and x.type == value.type:
            return Side(x, axis)
        case Reshape(x=x) if x.type.shape[-behind:] == value.type.shape[-behind:]:
            return Side(x, x.type.rank - behind)
        case Expand(x=x) if x.type.rank >= behind:
            own = x.type.rank - behind
            return Side(x, own) if x.type.shape[own] == value.type.shape[axis] else None
        case _:
            return None


def _averages(value: Node) -> bool:
    """True for the weights of an average: a softmax, behind moves and masks."""
    match value:
        case Softmax():
            return True
        case Reshape(x=x) | Transpose(x=x) | Expand(x=x) | Cast(x=x):
            return _averages(x)
        case Where(a=a, b=b) | Mul(a=a, b=b) | Add(a=a, b=b):
            return _averages(a) or _averages(b)
        case _:
            return False


def _gated(value: Node) -> bool:
    match value:
        case Mul(a=a, b=b):
            return a.type.shape == b.type.shape and not isinstance(a, Const | Mul)
        case Reshape(x=x) | Transpose(x=x) | Cast(x=x):
            return _gated(x)
        case _:
            return False
