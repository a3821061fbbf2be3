"""Look-ups by several indices at once: one look-up among elements that lie in a row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod

import numpy as np

from qcompile.ir.dims import Shape, is_static, static
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add, Less, Mul, Where
from qcompile.ir.ops.pointwise import Cast
from qcompile.ir.ops.shape import Gather, Reshape, Slice
from qcompile.ir.ops.source import Const, const
from qcompile.ir.types import I64


def look_up(x: Node, indices: Sequence[Node], axis: int) -> Node | None:
    """x[…, i₀, i₁, …] from `axis` on, the indices broadcast; None where lengths are open.

    Negative indices count from the end.
    """
    count = len(indices)
    lengths = x.type.shape[axis : axis + count]
    if not is_static(lengths):
        return None
    merged = (*x.type.shape[:axis], prod(static(lengths)), *x.type.shape[axis + count :])
    return Gather(Reshape(x, merged), _place(indices, static(lengths)), axis)


def look_up_rows(x: Node, indices: Node, batch: int) -> Node | None:
    """x[b…, i[b…, …]], an index a vector over the axes after the `batch` ones that both share."""
    places = indices.type.shape
    count = places[-1]
    if not isinstance(count, int) or not is_static(places[:batch]):
        return None
    last = len(places) - 1
    parts = [Slice(indices, (last,), (i,), (i + 1,), (1,)) for i in range(count)]
    own = [Reshape(part, places[:-1]) for part in parts]
    return look_up(x, [*_counted(places[:-1], range(batch)), *own], 0)


def look_up_along(x: Node, indices: Node, axis: int) -> Node | None:
    """x[a, …, i[a, …, b], …, b]: along one axis the index, along all others its own place."""
    places = indices.type.shape
    if not is_static(places) or not is_static(x.type.shape):
        return None
    others = _counted(places, (a for a in range(len(places)) if a != axis))
    return look_up(x, [*others[:axis], indices, *others[axis:]], 0)


def _counted(shape: Shape, axes: Iterable[int]) -> list[Node]:
    """For each axis 0, 1, 2, … along it."""
    found: list[Node] = []
    for a in axes:
        (count,) = static(shape[a : a + 1])
        found.append(const(np.arange(count).reshape((*(1,) * a, -1, *(1,) * (len(shape) - a - 1)))))
    return found


def _place(indices: Sequence[Node], lengths: tuple[int, ...]) -> Node:
    """Σ index · (what one step along its axis skips); worked out where all are constants."""
    total: Node | None = None
    for k, (index, length) in enumerate(zip(indices, lengths, strict=True)):
        own = from_front(index, length)
        stride = prod(lengths[k + 1 :])
        own = own if stride == 1 else _times(own, stride)
        total = own if total is None else _plus(total, own)
    assert total is not None
    return total


def from_front(index: Node, length: int) -> Node:
    """Indices in i64, negative ones as what they count from the end."""
    if isinstance(index, Const):
        places = np.asarray(index.array).astype(np.int64)
        return const(np.where(places < 0, places + length, places))
    wide = index if index.type.elem == I64 else Cast(index, I64)
    return Where(Less(wide, const(0, elem=I64)), Add(wide, const(length, elem=I64)), wide)


def _times(index: Node, stride: int) -> Node:
    if isinstance(index, Const):
        return const(index.array * np.int64(stride))
    return Mul(index, const(stride, elem=I64))


def _plus(a: Node, b: Node) -> Node:
    if isinstance(a, Const) and isinstance(b, Const):
        return const(a.array + b.array)
    return Add(a, b)
