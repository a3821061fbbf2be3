"""Pools and reductions: places in lanes, a loop over what is reduced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.ir.dims import static
from qcompile.ir.node import Node
from qcompile.ir.ops.pool import AveragePool, MaxPool
from qcompile.ir.ops.reduce import ReduceMax, ReduceMean, ReduceMin, ReduceSum, Summation
from qcompile.targets.loops import expr as e
from qcompile.targets.loops.draft import Draft, Value, load_of
from qcompile.targets.loops.fuse import Group
from qcompile.targets.loops.geometry import Axis, conv_axes, under
from qcompile.targets.loops.layout import channels_last
from qcompile.targets.loops.lowering import Lowering
from qcompile.targets.loops.pointwise import stored
from qcompile.targets.loops.real import unary
from qcompile.targets.loops.weights import zero_of

Numbers = NDArray[Any]
LEAST = {"u4": 0, "i4": -8, "u8": 0, "i8": -128, "i16": -32768, "i32": -(1 << 31), "bool": 0}
FLOAT_LEAST = -3.4028234663852886e38
GREATEST = {"u4": 15, "i4": 7, "u8": 255, "i8": 127, "i16": 32767, "i32": (1 << 31) - 1, "bool": 1}


def pool_halo(node: MaxPool | AveragePool) -> tuple[tuple[int, int], ...]:
    """How far outside of x the windows reach, per axis of x."""
    out, lengths = static(node.type.shape[2:]), static(node.x.type.shape[2:])
    axes = conv_axes(node.window, out)
    return ((0, 0), (0, 0), *(a.reach(d) for a, d in zip(axes, lengths, strict=True)))


def pool_fill(node: MaxPool | AveragePool) -> float:
    """What the border counts as."""
    if isinstance(node, AveragePool):
        return zero_of(node.x)
    return LEAST.get(stored(node.x.type.elem), FLOAT_LEAST)


def pool(ctx: Lowering, group: Group) -> None:
    """A pool and what is fused behind it."""
    node = group.root
    assert isinstance(node, MaxPool | AveragePool)
    shape = static(node.type.shape)
    order = channels_last(len(shape))
    x = ctx.read(node.x, order, pool_halo(node), pool_fill(node))
    target = ctx.allocate(group.head)
    alone = isinstance(node, MaxPool) and group.head is node
    draft = ctx.draft(shape, order, lanes=_lanes(ctx, x, shape[1]) if alone else None)
    axes = conv_axes(node.window, shape[2:])
    draft.inner = tuple(len(a.taps) for a in axes)
    number = window_view(draft, x, axes)
    chain = ctx.chain(group, draft)
    if isinstance(node, MaxPool):
        kind = x.elem if alone else ("f32" if x.elem == "f32" else "i32")
        body: e.Expr = load_of(number, x.elem, kind)
        chain.done[node] = e.Acc(*ctx.bounds.of(node) if kind != "f32" else (0, 0), kind)
        init, combine = least(x.elem, kind), "max"
    else:
        body, init, combine = *_average(ctx, node, x, number, chain, draft), "add"
    ctx.finish(
        group.head, draft, target, chain.expr(group.head), inner=draft.inner, body=body,
        combine=combine, init=init,
    )  # fmt: skip


def _lanes(ctx: Lowering, x: Value, channels: int) -> int:
    return ctx.byte_lanes(channels) if x.elem in ("u8", "i8") else ctx.lanes


def least(elem: str, kind: str) -> e.Expr:
    """What max starts from."""
    return e.imm(FLOAT_LEAST, "f32") if kind == "f32" else e.imm(LEAST[elem], kind)


def window_view(draft: Draft, x: Value, axes: Sequence[Axis]) -> int:
    """x under each tap, channel by channel."""
    seen = under(x.layout, axes)
    strides = (*x.layout.strides[:2], *seen.places)
    return draft.view(x.where, x.elem, strides, offset=seen.offset, inner=seen.taps)


def _average(
    ctx: Lowering, node: AveragePool, x: Value, number: int, chain: Any, draft: Draft
) -> tuple[e.Expr, e.Expr]:
    """Σ x − zero · taps, times each window's factor; floats are divided by their count."""
    spatial = static(node.x.type.shape[2:])
    body = load_of(number, x.elem)
    if x.elem == "f32":
        share = (1.0 / node.divisors(spatial)).astype(np.float32)
        total = e.Acc(0, 0, "f32")
        chain.done[node] = e.mul(total, _uniform(share, draft))
        return body, e.imm(0.0, "f32")
    taps = int(np.prod(node.kernel))
    factors = node.factors(spatial)
    lo, hi = ctx.bounds.centred(node.x)
    total = e.Acc(min(lo, 0) * taps, max(hi, 0) * taps, "i32")
    chain.done[node] = total if (factors == 1).all() else e.mul(total, _uniform(factors, draft))
    return body, e.imm(-zero_of(node.x) * taps)


def _uniform(array: Numbers, draft: Draft) -> e.Expr:
    elem = "f32" if array.dtype == np.float32 else "i32"
    if (array == array.flat[0]).all():
        first = array.flat[0]
        return e.imm(float(first), elem) if elem == "f32" else e.imm(int(first))
    loaded = draft.constant(array, elem)
    if elem == "f32":
        return loaded
    return e.load(loaded.view, "i32", lo=int(array.min()), hi=int(array.max()))


def reduce(ctx: Lowering, group: Group) -> None:
    """A sum, mean or extremum over axes and what is fused behind it."""
    node = group.root
    assert isinstance(node, ReduceSum | ReduceMean | ReduceMax | ReduceMin)
    x, target = ctx.value(folded(group)), ctx.allocate(group.head)
    shape = static(node.type.shape)
    draft = reducing(ctx, node, node.axes, x, target)
    number = reduced_view(draft, x, static(node.x.type.shape), node.axes, node.keepdims)
    chain = ctx.chain(group, draft)
    count = int(np.prod(draft.inner))
    body: e.Expr = load_of(number, x.elem)
    for function in reversed(group.before):
        body = unary(function, body)
    if isinstance(node, Summation):
        combine, zero = "add", zero_of(node.x)
        init = e.imm(0.0, "f32") if x.elem == "f32" else e.imm(-zero * count)
        acc: e.Expr = e.Acc(*(ctx.bounds.of(node) if x.elem != "f32" else (0, 0)), body.elem)
        if x.elem == "f32" and isinstance(node, ReduceMean):
            acc = e.mul(acc, e.imm(float(np.float32(1 / count)), "f32"))
    else:
        combine = "max" if isinstance(node, ReduceMax) else "min"
        sign = 1 if combine == "max" else -1
        bound = LEAST if combine == "max" else GREATEST
        init = e.imm(sign * FLOAT_LEAST, "f32") if x.elem == "f32" else e.imm(bound[x.elem])
        acc = e.Acc(body.lo, body.hi, body.elem)
    chain.done[node] = acc
    assert shape == draft.shape
    ctx.finish(
        group.head, draft, target, chain.expr(group.head), inner=draft.inner, body=body,
        combine=combine, init=init,
    )  # fmt: skip


def folded(group: Group) -> Node:
    """The value in memory that a reduction reads."""
    assert group.root is not None
    return group.before[-1].x if group.before else group.root.operands[0]


def reducing(ctx: Lowering, node: Node, axes: Sequence[int], x: Value, target: Value) -> Draft:
    """A draft over the result's places; lane by lane where neighbours are reduced."""
    shape = static(node.type.shape)
    order = target.layout.order
    contiguous = x.layout.inner not in axes and x.layout.inner >= 0
    draft = ctx.draft(shape, order, lanes=None if contiguous and order else 1)
    full = static(node.operands[0].type.shape)
    draft.inner = tuple(full[a] for a in axes)
    return draft


def reduced_view(
    draft: Draft, x: Value, full: tuple[int, ...], axes: Sequence[int], keepdims: bool
) -> int:
    """x at a place of the result, running over the reduced axes."""
    strides = x.layout.strides
    if keepdims:
        outer = [0 if a in axes else s for a, s in enumerate(strides)]
    else:
        outer = [s for a, s in enumerate(strides) if a not in axes]
    return draft.view(
        x.where, x.elem, outer or [0], offset=x.layout.offset,
        inner=tuple(strides[a] for a in axes),
    )  # fmt: skip
