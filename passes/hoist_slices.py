"""slice(reshape(x)) → reshape(slice(x)): parts of a fused projection are parts of its weight."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

from qcompile.ir.dims import is_static, static
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.shape import Gather, Reshape, Slice, Transpose
from qcompile.ir.ops.source import Const
from qcompile.ir.rewrite import Site, first_of, until_same
from qcompile.passes.base import Meaning, Pass


@dataclass(frozen=True)
class HoistSlices(Pass):
    """Slices an axis before it is split, so that q, k and v of one matrix are columns of it.

    Behind the split each part still shares the axes that lie inside; before it they are apart, and
    each may have a map of its own.
    """

    name: ClassVar[str] = "hoist-slices"
    keeps: ClassVar[Meaning] = Meaning.EXACTLY

    def run(self, graph: Graph) -> Graph:
        """To a fixed point."""
        return until_same(graph, first_of(_as_slice, _before_transpose, _before_split))


def _as_slice(node: Node, site: Site) -> Node | None:
    """One index of a split axis is a slice of length 1."""
    match node:
        case Gather(x=Reshape() | Transpose(x=Reshape()) as x, indices=Const() as c, axis=axis):
            length = x.type.shape[axis]
        case _:
            return None
    if c.type.rank > 1 or c.data.size != 1 or not isinstance(length, int):
        return None
    index = int(c.array.reshape(())) % length
    part = Slice(x, (axis,), (index,), (index + 1,), (1,), name=node.name)
    return part if c.type.rank else Reshape(part, node.type.shape, name=node.name)


def _before_transpose(node: Node, site: Site) -> Node | None:
    match node:
        case Slice(x=Transpose(x=Reshape() as x, perm=perm), axes=(axis,), steps=(1,)):
            inner = node.replace(x=x, axes=(perm[axis],), name="")
            if _before_split(inner, site) is None:
                return None
            return Transpose(inner, perm, name=node.name)
        case _:
            return None


def _before_split(node: Node, site: Site) -> Node | None:
    """The sliced axis is taken together with those that were split off behind it."""
    match node:
        case Slice(x=Reshape(x=x) as split, axes=(axis,), stops=(int() as stop,), steps=(1,)):
            start = node.starts[0]
        case _:
            return None
    if not is_static(x.type.shape) or not is_static(split.type.shape):
        return None
    shape = static(split.type.shape)
    last = _last_of_group(static(x.type.shape), shape, axis)
    inner = prod(shape[axis + 1 : last])
    if inner == 1:
        return None
    joined = (*shape[:axis], shape[axis] * inner, *shape[last:])
    whole = x if joined == x.type.shape else Reshape(x, joined)
    part = Slice(whole, (axis,), (start * inner,), (stop * inner,), (1,))
    return Reshape(part, node.type.shape, name=node.name)


def _last_of_group(source: tuple[int, ...], shape: tuple[int, ...], axis: int) -> int:
    """Where the axes end that come from the same axis of the operand as `axis` does."""
    ends = {prod(source[:i]) for i in range(len(source) + 1)}
    for last in range(axis + 1, len(shape) + 1):
        if prod(shape[:last]) in ends:
            return last
    return len(shape)
