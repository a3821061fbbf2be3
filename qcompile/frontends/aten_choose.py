"""Running sums, the greatest few, and choices along an axis: what routers and masks need."""

from __future__ import annotations

import numpy as np

from qcompile.frontends.aten_call import (
    Call,
    Family,
    Operand,
    Refusal,
    axis_of,
    cast,
    cut,
    length,
    operand,
    permute,
    reshape,
)
from qcompile.frontends.choosing import FEW, greatest, put, written
from qcompile.frontends.looking_up import look_up_along
from qcompile.frontends.running_sum import LONGEST, running_sum
from qcompile.ir.dims import Dim
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Equal, Where
from qcompile.ir.ops.reduce import ReduceSum
from qcompile.ir.ops.shape import Expand
from qcompile.ir.ops.source import const
from qcompile.ir.types import I64

_CHOICES = 4096  # places that a choice compares with each index


def _cumsum(call: Call, x: Node, dim: int, **_: object) -> Node:
    x = cast(x, call.elem)
    if x.type.rank == 0:
        return x
    axis = axis_of(x, dim)
    count = length(x, axis)
    if count > LONGEST:
        raise Refusal(f"over {count} places")
    return running_sum(x, axis, count)


def _topk(
    call: Call, x: Node, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> tuple[Node, Node]:
    """The k greatest (or least), each found and then taken out; of equals the first."""
    if k > FEW or not x.type.is_float:
        raise Refusal(f"the first {k} of {x.type}")
    axis = axis_of(x, dim)
    return greatest(x, k, axis, length(x, axis), largest=largest)


def _gather(call: Call, x: Node, dim: int, index: Node, **_: object) -> Node:
    """Σ over the places of x[place] where the index says that place, else 0; or a look-up."""
    axis, rank = axis_of(x, dim), x.type.rank
    if not x.type.is_float or rank == 0 or length(x, axis) > _CHOICES:
        return _looked_up(x, axis, index)
    count = length(x, axis)
    for a in range(rank):
        if a != axis:
            x = cut(x, a, 0, index.type.shape[a])
    asked = reshape(cast(index, I64), (*index.type.shape, 1))
    places = const(np.arange(count))
    front = [d for a, d in enumerate(x.type.shape) if a != axis]
    rows = permute(x, (*(a for a in range(rank) if a != axis), axis))
    spread = reshape(rows, (*front[:axis], 1, *front[axis:], count))
    kept = Where(Equal(asked, places), spread, const(0, elem=x.type.elem))
    return ReduceSum(kept, (rank,), keepdims=False)


def _looked_up(x: Node, axis: int, index: Node) -> Node:
    found = look_up_along(x, index, axis) if x.type.rank else None
    if found is None:
        raise Refusal(f"by an index, of {x.type}")
    return found


def _scatter(call: Call, x: Node, dim: int, index: Node, source: Operand) -> Node:
    """The source at the places that the index says, along one axis."""
    axis = axis_of(x, dim) if x.type.rank else 0
    values = operand(source, call.elem)
    found = written(x, index, values, axis, length(x, axis)) if x.type.rank else None
    if found is None:
        raise Refusal(f"writes {index.type} into {x.type}")
    return found


def _slice_scatter(
    call: Call,
    x: Node,
    source: Node,
    dim: int = 0,
    start: int | None = None,
    end: Dim | None = None,
    step: int = 1,
) -> Node:
    axis = axis_of(x, dim)
    if step != 1:
        raise Refusal(f"writes to each {step}-th place")
    first, last, _ = slice(start, _closed(end), 1).indices(length(x, axis))
    return put(x, source, axis, first, max(first, last))


def _select_scatter(call: Call, x: Node, source: Node, dim: int, index: int) -> Node:
    axis = axis_of(x, dim)
    place = index % length(x, axis)
    shape = x.type.shape
    return put(x, reshape(source, (*shape[:axis], 1, *shape[axis + 1 :])), axis, place, place + 1)


def _closed(end: Dim | None) -> int | None:
    if end is None or isinstance(end, int):
        return end
    raise Refusal(f"writes up to the open place {end}")


def _copy(call: Call, x: Node, source: Node, *_: object) -> Node:
    """The source in x's format and shape."""
    value = cast(source, call.elem)
    return value if value.type.shape == call.shape else Expand(value, call.shape)


CHOOSE: Family = {
    "copy": _copy,
    "cumsum": _cumsum,
    "gather": _gather,
    "scatter.src": _scatter,
    "scatter.value": _scatter,
    "select_scatter": _select_scatter,
    "slice_scatter": _slice_scatter,
    "topk": _topk,
}
