"""The greatest few of an axis, and writing to places: of operations that every target has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from qcompile.frontends.looking_up import from_front
from qcompile.ir.dims import Dim
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Equal, Where
from qcompile.ir.ops.reduce import ArgMax, ArgMin, ReduceMax, ReduceMin
from qcompile.ir.ops.shape import Concat, Slice
from qcompile.ir.ops.source import Const, const

FEW: Final = 16  # of the greatest, or of writes, that are made one after the other


def greatest(x: Node, k: int, axis: int, length: int, *, largest: bool) -> tuple[Node, Node]:
    """The k greatest reals (or least) in order with their places, of equals the first.

    Each is found and then taken out.
    """
    places = _places(x, axis, length)
    gone = const(-np.inf if largest else np.inf, elem=x.type.elem)
    values: list[Node] = []
    found: list[Node] = []
    for _ in range(k):
        values.append((ReduceMax if largest else ReduceMin)(x, (axis,)))
        found.append((ArgMax if largest else ArgMin)(x, axis))
        x = Where(Equal(places, found[-1]), gone, x)
    return Concat(tuple(values), axis), Concat(tuple(found), axis)


def written(x: Node, index: Node, source: Node, axis: int, length: int) -> Node | None:
    """x with source[…, j, …] at place index[…, j, …] of the axis, in the order of j.

    None where there are more than a few j, or where the index leaves out rows of x.
    """
    count = index.type.shape[axis]
    rows = [d for a, d in enumerate(x.type.shape) if a != axis]
    own = [d for a, d in enumerate(index.type.shape) if a != axis]
    if not isinstance(count, int) or count > FEW or rows != own:
        return None
    wide = from_front(index, length)
    places = _places(x, axis, length)
    for at, value in zip(_each(wide, axis, count), _each(source, axis, count), strict=True):
        x = Where(Equal(at, places), value, x)
    return x


def put(x: Node, source: Node, axis: int, start: int, stop: Dim) -> Node:
    """x whose part from `start` up to `stop` is the source."""
    length = x.type.shape[axis]
    front = (Slice(x, (axis,), (0,), (start,), (1,)),) if start else ()
    rest = (
        (Slice(x, (axis,), (stop,), (length,), (1,)),)
        if isinstance(stop, int) and stop != length
        else ()
    )
    parts = (*front, source, *rest)
    return parts[0] if len(parts) == 1 else Concat(parts, axis)


def _places(x: Node, axis: int, length: int) -> Const:
    return const(np.arange(length).reshape([-1 if a == axis else 1 for a in range(x.type.rank)]))


def _each(x: Node, axis: int, count: int) -> Iterator[Node]:
    """One after the other along the axis; one number stands for all."""
    for j in range(count):
        spread = x.type.rank == 0 or x.type.shape[axis] == 1
        yield x if spread else Slice(x, (axis,), (j,), (j + 1,), (1,))
