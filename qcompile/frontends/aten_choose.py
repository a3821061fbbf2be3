"""Running sums, the greatest few, and choices along an axis: what routers and masks need."""

from __future__ import annotations

import numpy as np

from qcompile.frontends.aten_call import (
    Call,
    Family,
    Refusal,
    axis_of,
    cast,
    cut,
    length,
    permute,
    reshape,
)
from qcompile.frontends.looking_up import look_up_along
from qcompile.frontends.running_sum import LONGEST, running_sum
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Equal, Where
from qcompile.ir.ops.reduce import ArgMax, ArgMin, ReduceMax, ReduceMin, ReduceSum
from qcompile.ir.ops.shape import Concat, Expand
from qcompile.ir.ops.source import const
from qcompile.ir.types import I64

_FEW = 16  # of the greatest, found one after the other
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
    if k > _FEW or not x.type.is_float:
        raise Refusal(f"the first {k} of {x.type}")
    axis = axis_of(x, dim)
    shape = tuple(-1 if a == axis else 1 for a in range(x.type.rank))
    places = const(np.arange(length(x, axis)).reshape(shape))
    gone = const(-np.inf if largest else np.inf, elem=x.type.elem)
    values: list[Node] = []
    found: list[Node] = []
    for _ in range(k):
        values.append((ReduceMax if largest else ReduceMin)(x, (axis,)))
        found.append((ArgMax if largest else ArgMin)(x, axis))
        x = Where(Equal(places, found[-1]), gone, x)
    return Concat(tuple(values), axis), Concat(tuple(found), axis)


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


def _copy(call: Call, x: Node, source: Node, *_: object) -> Node:
    """The source in x's format and shape."""
    value = cast(source, call.elem)
    return value if value.type.shape == call.shape else Expand(value, call.shape)


CHOOSE: Family = {"copy": _copy, "cumsum": _cumsum, "gather": _gather, "topk": _topk}
