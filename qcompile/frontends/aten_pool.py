"""Pools: over windows, and over as many windows as the result has places."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from qcompile.frontends.aten_call import (
    Call,
    Family,
    Translator,
    cut,
    each,
    length,
    lengths,
    operand,
    reshape,
)
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Mul
from qcompile.ir.ops.pool import AveragePool, MaxPool
from qcompile.ir.ops.reduce import ReduceMax, ReduceMean
from qcompile.ir.ops.shape import Concat, Pad

Lengths = int | Sequence[int]


def _max_pool(
    call: Call,
    x: Node,
    kernel: Sequence[int],
    stride: Lengths = (),
    padding: Lengths = 0,
    dilation: Lengths = 1,
    ceil: bool = False,
) -> Node:
    n, window = len(kernel), tuple(kernel)
    y = MaxPool(
        _batched(x, n),
        window,
        each(stride, n) or window,
        each(padding, n) * 2,
        each(dilation, n),
        bool(ceil),
    )
    return reshape(y, call.shape) if x.type.rank == n + 1 else y


def _max_pool_with_indices(
    call: Call, x: Node, kernel: Sequence[int], *rest: Any
) -> tuple[Node, None]:
    return _max_pool(call, x, kernel, *rest), None


def _avg_pool(
    call: Call,
    x: Node,
    kernel: Sequence[int],
    stride: Lengths = (),
    padding: Lengths = 0,
    ceil: bool = False,
    count_include_pad: bool = True,
    divisor: int | None = None,
) -> Node:
    n, window = len(kernel), tuple(kernel)
    pads = each(padding, n) * 2
    stride = each(stride, n) or window
    batched = _batched(x, n)
    if divisor is not None:
        y = _sums_over(divisor, batched, window, stride, pads, call)
    else:
        y = AveragePool(
            batched,
            window,
            stride,
            pads,
            (1,) * n,
            ceil=bool(ceil),
            count_border=bool(count_include_pad) and any(pads),
        )
    return reshape(y, call.shape) if x.type.rank == n + 1 else y


def _sums_over(
    divisor: int,
    x: Node,
    window: tuple[int, ...],
    stride: tuple[int, ...],
    pads: tuple[int, ...],
    call: Call,
) -> Node:
    """Σ / divisor: x is padded until every window is whole, so that each mean is Σ / |window|."""
    n = len(window)
    out = lengths(call.shape[-n:])
    before, after = list(pads[:n]), [0] * n
    for i in range(n):
        need = (out[i] - 1) * stride[i] + window[i]
        after[i] = need - length(x, 2 + i) - before[i]
    if any((*before, *after)):
        x = Pad(x, (0, 0, *before, 0, 0, *after))
    mean = AveragePool(x, window, stride, (0,) * (2 * n), (1,) * n)
    return Mul(mean, operand(prod(window) / divisor, call.elem))


def _batched(x: Node, n: int) -> Node:
    return reshape(x, (1, *x.type.shape)) if x.type.rank == n + 1 else x


def _adaptive_avg(n: int) -> Translator:
    def translate(call: Call, x: Node, out: object) -> Node:
        return reshape(_adaptive(call, x, n, ReduceMean), call.shape)

    return translate


def _adaptive_max(n: int) -> Translator:
    def translate(call: Call, x: Node, out: object) -> tuple[Node, None]:
        return reshape(_adaptive(call, x, n, ReduceMax), call.shape), None

    return translate


def _adaptive(call: Call, x: Node, n: int, reduce: type[ReduceMean] | type[ReduceMax]) -> Node:
    """Global where the result is one place, windows where lengths divide, else place by place."""
    out = lengths(call.shape[-n:])
    x = _batched(x, n)
    if all(o == 1 for o in out):
        return reduce(x, tuple(range(2, 2 + n)))
    spatial = [length(x, 2 + i) for i in range(n)]
    if all(s % o == 0 for s, o in zip(spatial, out, strict=True)):
        window = tuple(s // o for s, o in zip(spatial, out, strict=True))
        pool = AveragePool if reduce is ReduceMean else MaxPool
        return pool(x, window, window, (0,) * (2 * n), (1,) * n)
    for axis, count in enumerate(out, start=2):
        x = _axis_by_axis(x, axis, count, reduce)
    return x


def _axis_by_axis(
    x: Node, axis: int, count: int, reduce: type[ReduceMean] | type[ReduceMax]
) -> Node:
    """Place i looks at [⌊i·length/count⌋, ⌈(i+1)·length/count⌉)."""
    total = length(x, axis)
    if total == count:
        return x
    places = [
        reduce(cut(x, axis, i * total // count, -(-(i + 1) * total // count)), (axis,))
        for i in range(count)
    ]
    return places[0] if count == 1 else Concat(tuple(places), axis)


POOL: Family = {
    "max_pool1d": _max_pool,
    "max_pool2d": _max_pool,
    "max_pool3d": _max_pool,
    "max_pool1d_with_indices": _max_pool_with_indices,
    "max_pool2d_with_indices": _max_pool_with_indices,
    "max_pool3d_with_indices": _max_pool_with_indices,
    "avg_pool1d": _avg_pool,
    "avg_pool2d": _avg_pool,
    "avg_pool3d": _avg_pool,
    "adaptive_avg_pool1d": _adaptive_avg(1),
    "adaptive_avg_pool2d": _adaptive_avg(2),
    "adaptive_avg_pool3d": _adaptive_avg(3),
    "_adaptive_avg_pool2d": _adaptive_avg(2),
    "_adaptive_avg_pool3d": _adaptive_avg(3),
    "adaptive_max_pool1d": _adaptive_max(1),
    "adaptive_max_pool2d": _adaptive_max(2),
    "adaptive_max_pool3d": _adaptive_max(3),
}
