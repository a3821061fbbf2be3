"""Which elements of a value are equal by construction, or by value where it is constant."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qcompile.ir.dims import Shape, is_static, static
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Binary
from qcompile.ir.ops.pointwise import Cast, Unary
from qcompile.ir.ops.shape import Concat, Expand, Gather, Reshape, Slice, Transpose
from qcompile.ir.ops.source import Const

Labels: TypeAlias = NDArray[np.int64]
_DEPTH = 16  # steps that are looked behind


def labels(node: Node) -> Labels:
    """A number for each index of the last axis; where two are alike, the values are, everywhere."""
    return _labels(node, 1, _DEPTH)


def _labels(node: Node, count: int, depth: int) -> Labels:
    """The same for the last `count` axes together."""
    shape = static(node.type.shape[node.type.rank - count :])
    found = _found(node, count, depth - 1) if depth else None
    return np.arange(prod(shape)).reshape(shape) if found is None else found


def _found(node: Node, count: int, depth: int) -> Labels | None:
    match node:
        case Const():
            return _of_values(np.asarray(node.array), count)
        case Unary(x=x) | Cast(x=x):
            return _labels(x, count, depth)
        case Binary(a=a, b=b):
            sides = [_spread(x, node.type.shape, count, depth) for x in (a, b)]
            return _merged([side for side in sides if side is not None])
        case Expand(x=x):
            return _spread(x, node.type.shape, count, depth)
        case Concat():
            return _joined(node, count, depth)
        case _:
            return _moved(node, count, depth)


def _moved(node: Node, count: int, depth: int) -> Labels | None:
    lead = node.type.rank - count
    match node:
        case Reshape(x=x):
            inner = _trailing(x.type.shape, prod(static(node.type.shape[lead:])))
            shape = static(node.type.shape[lead:])
            return None if inner is None else _labels(x, inner, depth).reshape(shape)
        case Transpose(x=x, perm=perm) if min(perm[lead:]) >= lead:
            return _labels(x, count, depth).transpose([p - lead for p in perm[lead:]])
        case Slice(x=x) if is_static(x.type.shape[lead:]):
            return _labels(x, count, depth)[tuple(_cuts(node, lead))]
        case Gather(x=x, indices=Const() as indices, axis=axis) if axis == x.type.rank - 1:
            known = count == 1 and indices.type.rank == 1
            return _labels(x, 1, depth)[np.asarray(indices.array)] if known else None
        case Gather(x=x, axis=axis) if axis < x.type.rank - count:
            return _labels(x, count, depth)
        case _:
            return None


def _of_values(array: NDArray[Any], count: int) -> Labels:
    """Of a constant: elements that are alike in every row."""
    shape = array.shape[array.ndim - count :]
    columns = np.ascontiguousarray(array.reshape(-1, prod(shape)).T)
    seen: dict[bytes, int] = {}
    found = [seen.setdefault(column.tobytes(), len(seen)) for column in columns]
    return np.asarray(found, np.int64).reshape(shape)


def _spread(x: Node, shape: Shape, count: int, depth: int) -> Labels | None:
    """Of an operand that spreads to the shape; None where it is one number along these axes."""
    own = min(count, x.type.rank)
    trailing = x.type.shape[x.type.rank - own :]
    if all(length == 1 for length in trailing):
        return np.zeros(static(shape[len(shape) - count :]), np.int64)
    if not is_static(trailing):
        return None
    return np.broadcast_to(_labels(x, own, depth), static(shape[len(shape) - count :]))


def _merged(sides: list[Labels]) -> Labels | None:
    """Alike where both are."""
    if len(sides) != 2:
        return None
    seen: dict[tuple[int, int], int] = {}
    pairs = zip(sides[0].reshape(-1).tolist(), sides[1].reshape(-1).tolist(), strict=True)
    found = [seen.setdefault(pair, len(seen)) for pair in pairs]
    return np.asarray(found, np.int64).reshape(sides[0].shape)


def _joined(node: Concat, count: int, depth: int) -> Labels | None:
    """Parts that are one node are alike; different ones are not."""
    axis = node.axis - (node.type.rank - count)
    if axis < 0:
        return None
    starts: dict[Node, int] = {}
    for x in node.xs:
        starts.setdefault(x, sum(prod(static(y.type.shape[-count:])) for y in starts))
    return np.concatenate([_labels(x, count, depth) + starts[x] for x in node.xs], axis)


def _trailing(shape: Shape, total: int) -> int | None:
    """How many last axes have this product of lengths."""
    for count in range(1, len(shape) + 1):
        own = shape[len(shape) - count :]
        if not is_static(own):
            return None
        if prod(static(own)) == total:
            return count
    return None


def _cuts(node: Slice, lead: int) -> Iterator[slice]:
    cuts = {
        axis: slice(start, None if step < 0 > stop else stop, step)
        for axis, start, stop, step in zip(
            node.axes, node.starts, static(node.stops), node.steps, strict=True
        )
        if axis >= lead
    }
    yield from (cuts.get(axis, slice(None)) for axis in range(lead, node.type.rank))
