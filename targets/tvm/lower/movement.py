"""Steps that move values: each is a copy through strides or index tables, or no step at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.errors import NotLegal
from qcompile.ir.dims import static
from qcompile.ir.node import Node
from qcompile.ir.ops.resize import FRACTION_BITS, ResizeLinear, ResizeNearest
from qcompile.ir.ops.shape import Concat, Expand, Gather, Pad, Reshape, Slice, Transpose
from qcompile.ir.ops.source import Const, const
from qcompile.targets.tvm import expr as e
from qcompile.targets.tvm.draft import Draft, External, Stored, Value, broadcast_strides, load_of
from qcompile.targets.tvm.fuse import Group
from qcompile.targets.tvm.layout import Layout, dense, packed, row_major, same_bytes
from qcompile.targets.tvm.lower.contraction import zero_of
from qcompile.targets.tvm.lowering import Lowering
from qcompile.targets.tvm.nest import Step

Ints = NDArray[Any]


def move(ctx: Lowering, group: Group) -> None:
    """Any operation that only moves elements."""
    node = group.head
    match node:
        case Reshape(x=x):
            _reshape(ctx, node, x)
        case Transpose(x=x, perm=perm):
            _transpose(ctx, node, x, perm)
        case Concat(xs=xs, axis=axis):
            _concat(ctx, node, xs, axis)
        case _:
            _copied(ctx, node)


def _copied(ctx: Lowering, node: Node) -> None:
    match node:
        case Slice():
            _slice(ctx, node)
        case Expand():
            _expand(ctx, node)
        case Pad():
            _pad(ctx, node)
        case Gather():
            _gather(ctx, node)
        case ResizeNearest(x=x, indices=indices):
            _resize(ctx, node, x, indices)
        case _:
            raise NotLegal(f"{node}: no kernel for {node.op}")


def _shape(node: Node) -> tuple[int, ...]:
    return static(node.type.shape)


def _copy(
    ctx: Lowering, node: Node, source: Value, target: Value, strides: Sequence[Step],
    offset: int,
) -> None:  # fmt: skip
    """target[i] = source[offset + Σ i·stride]."""
    draft = ctx.draft(target.layout.shape, target.layout.order)
    number = draft.view(source.where, source.elem, strides, offset=offset)
    ctx.finish(node, draft, target, e.load(number, source.elem))


def _reshape(ctx: Lowering, node: Node, x: Node) -> None:
    """No step when the stored order is the logical one; else row-major first."""
    shape, source = _shape(node), ctx.value(x)
    if not isinstance(source.where, External | Stored) and same_bytes(source.layout, shape):
        layout = _relabelled(source.layout, shape)
        if layout is not None:
            ctx.values[node] = replace(source, layout=layout)
            return
    target = ctx.allocate(node, row_major(shape))
    _reshaped(ctx, node, source, target, static(x.type.shape), shape)


def _relabelled(layout: Layout, shape: tuple[int, ...]) -> Layout | None:
    """The same bytes seen under another shape, when its innermost axis keeps its width."""
    wide = [a for a, d in enumerate(shape) if d > 1]
    inner = wide[-1] if wide else len(shape) - 1
    if not shape:
        return None
    old = layout.shape[layout.inner]
    if shape[inner] != old and layout.width != old:
        return None
    width = layout.width if shape[inner] == old else shape[inner]
    order = (*(a for a in range(len(shape)) if a != inner), inner)
    return Layout(shape, order, ((0, 0),) * len(shape), width)


def _reshaped(
    ctx: Lowering, node: Node, source: Value, target: Value, before: tuple[int, ...],
    after: tuple[int, ...],
) -> None:  # fmt: skip
    """Copies over the coarsest shape that both split into; by way of a dense copy if none."""
    factors = _common_factors(before, after)
    if not factors:
        scratch = ctx.dense_scratch(node, before, source.elem)
        _reshaped(ctx, node, source, scratch, before, before)
        seen = replace(scratch, layout=dense(after))
        _reshaped(ctx, node, seen, target, after, after)
        return
    inside = _split_strides(source.layout.strides, before, factors)
    outside = _split_strides(target.layout.strides, after, factors)
    lanes = None if factors[-1] >= ctx.isa.lanes else 1
    draft = ctx.draft(factors, tuple(range(len(factors))), lanes=lanes, exact=True)
    number = draft.view(source.where, source.elem, inside, offset=source.layout.offset)
    result = e.load(number, source.elem)
    ctx.finish(node, draft, target, result, place=(outside, target.layout.offset))


def _common_factors(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    """The coarsest shape that both can be split into; empty when lengths do not nest."""
    cuts = sorted(_cuts(a) | _cuts(b))
    steps = list(pairwise(cuts))
    if any(high % low for low, high in steps):
        return ()
    return tuple(high // low for low, high in reversed(steps)) or (1,)


def _cuts(shape: tuple[int, ...]) -> set[int]:
    cuts, run = {1}, 1
    for length in reversed(shape):
        run *= length
        cuts.add(run)
    return cuts


def _split_strides(
    strides: tuple[int, ...], shape: tuple[int, ...], factors: tuple[int, ...]
) -> tuple[int, ...]:
    """The stride of each factor within the axis that it is a part of."""
    result: list[int] = []
    remaining = list(reversed(factors))
    for length, stride in zip(reversed(shape), reversed(strides), strict=True):
        step = stride
        while length > 1:
            factor = remaining.pop(0)
            result.insert(0, step)
            step *= factor
            length //= factor
    return tuple([0] * (len(factors) - len(result)) + result)


def _transpose(ctx: Lowering, node: Node, x: Node, perm: tuple[int, ...]) -> None:
    """The same bytes under other axis names."""
    source = ctx.value(x)
    layout = source.layout
    place = {old: new for new, old in enumerate(perm)}
    moved = Layout(
        tuple(layout.shape[p] for p in perm),
        tuple(place[a] for a in layout.order),
        tuple(layout.halo[p] for p in perm),
        layout.width,
    )
    ctx.values[node] = replace(source, layout=moved)


def _concat(ctx: Lowering, node: Node, xs: Sequence[Node], axis: int) -> None:
    """Each part is copied to its place."""
    target = ctx.allocate(node)
    start = 0
    for i, x in enumerate(xs):
        part = _shape(x)
        _copy_into(ctx, node, x, target, part, axis, start, first=i == 0)
        start += part[axis]


def _copy_into(
    ctx: Lowering, node: Node, x: Node, target: Value, part: tuple[int, ...], axis: int,
    start: int, *, first: bool,
) -> None:  # fmt: skip
    source = ctx.value(x)
    draft = ctx.draft(
        part, target.layout.order, lanes=_lanes_for(ctx, target, part),
        exact=axis == target.layout.inner,
    )  # fmt: skip
    number = draft.view(
        source.where, source.elem, source.layout.strides, offset=source.layout.offset
    )
    offset = target.layout.offset + start * target.layout.strides[axis]
    ctx.finish(
        node, draft, target, e.load(number, source.elem), border=first,
        place=(target.layout.strides, offset),
    )  # fmt: skip


def _lanes_for(ctx: Lowering, target: Value, part: tuple[int, ...]) -> int | None:
    return None if part[target.layout.inner] >= ctx.isa.lanes else 1


def _slice(ctx: Lowering, node: Slice) -> None:
    source, target = ctx.value(node.x), ctx.allocate(node)
    strides = list(source.layout.strides)
    offset = source.layout.offset
    for axis, start, step in zip(node.axes, node.starts, node.steps, strict=True):
        offset += start * strides[axis]
        strides[axis] *= step
    _copy(ctx, node, source, target, strides, offset)


def _expand(ctx: Lowering, node: Expand) -> None:
    source, target = ctx.value(node.x), ctx.allocate(node)
    strides = broadcast_strides(source.layout.strides, static(node.x.type.shape), _shape(node))
    _copy(ctx, node, source, target, strides, source.layout.offset)


def _gather(ctx: Lowering, node: Gather) -> None:
    """Indices that are known now are a table of steps."""
    if not isinstance(node.indices, Const):
        _gather_by_value(ctx, node)
        return
    source, axis = ctx.value(node.x), node.axis
    indices: Ints = np.asarray(node.indices.array)
    length = _shape(node.x)[axis]
    rows = np.where(indices < 0, indices + length, indices).reshape(-1)
    shape = _shape(node)
    lead, tail = shape[:axis], shape[axis + indices.ndim :]
    flat = (*lead, rows.size, *tail)
    target = ctx.allocate(node, _gathered(shape, axis, indices.ndim))
    order = tuple(range(len(flat)))
    last = axis == len(flat) - 1
    draft = ctx.draft(flat, order, lanes=1 if last else None, exact=last)
    steps: list[Step] = list(source.layout.strides)
    stride = source.layout.strides[axis]
    steps[axis] = draft.table(rows * stride)
    number = draft.view(source.where, source.elem, steps, offset=source.layout.offset)
    outside = packed(flat, order).strides if not last else _dense_strides(flat)
    result = e.load(number, source.elem)
    ctx.finish(node, draft, target, result, place=(outside, 0))


def _gather_by_value(ctx: Lowering, node: Gather) -> None:
    """Indices that are known only at run time: an address is computed for each element."""
    source, places = ctx.value(node.x), ctx.value(node.indices)
    target = ctx.allocate(node)
    axis, rank = node.axis, node.indices.type.rank
    draft = ctx.draft(target.layout.shape, target.layout.order)
    strides = source.layout.strides
    table = draft.view(
        source.where, source.elem, (*strides[:axis], *(0,) * rank, *strides[axis + 1 :]),
        offset=source.layout.offset,
    )  # fmt: skip
    tail = len(target.layout.shape) - axis - rank
    own = (*(0,) * axis, *places.layout.strides, *(0,) * tail)
    raw = load_of(
        draft.view(places.where, places.elem, own, offset=places.layout.offset), places.elem
    )
    index: e.Expr = raw if raw.elem == "i32" else e.Convert(*e.INT32, "i32", raw)
    length = _shape(node.x)[axis]
    below = e.Binary(0, 1, "i32", "lt", index, e.imm(0))
    counted = e.Select(*e.INT32, "i32", below, e.add(index, e.imm(length)), index)
    moved = e.mul(e.clip(counted, 0, length - 1), e.imm(strides[axis]))
    kind = source.elem if source.elem in ("f32", "i64") else "i32"
    ctx.finish(node, draft, target, e.Lookup(*e.INT32, kind, moved, table, 0))


def _gathered(shape: tuple[int, ...], axis: int, rank: int) -> Layout:
    last = axis + rank == len(shape)
    width = shape[-1] if last and shape else packed(shape, tuple(range(len(shape)))).width
    return Layout(shape, tuple(range(len(shape))), ((0, 0),) * len(shape), width)


def _dense_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(np.prod(shape[i + 1 :], dtype=np.int64)) for i in range(len(shape)))


def _resize(ctx: Lowering, node: Node, x: Node, indices: Sequence[Sequence[int]]) -> None:
    source, target = ctx.value(x), ctx.allocate(node)
    rank = len(source.layout.strides)
    draft = ctx.draft(target.layout.shape, target.layout.order)
    steps: list[Step] = list(source.layout.strides)
    for i, chosen in enumerate(indices):
        axis = rank - len(indices) + i
        steps[axis] = draft.table(np.array(chosen) * source.layout.strides[axis])
    number = draft.view(source.where, source.elem, steps, offset=source.layout.offset)
    ctx.finish(node, draft, target, e.load(number, source.elem))


def _pad(ctx: Lowering, node: Pad) -> None:
    rank = node.x.type.rank
    before = node.pads[:rank]
    if node.mode == "constant":
        _pad_constant(ctx, node, before)
        return
    source, target = ctx.value(node.x), ctx.allocate(node)
    draft = ctx.draft(target.layout.shape, target.layout.order)
    steps: list[Step] = list(source.layout.strides)
    for axis, length in enumerate(_shape(node.x)):
        if node.pads[axis] or node.pads[rank + axis]:
            line = _line(node, axis, length)
            steps[axis] = draft.table(np.asarray(line) * source.layout.strides[axis])
    number = draft.view(source.where, source.elem, steps, offset=source.layout.offset)
    ctx.finish(node, draft, target, e.load(number, source.elem))


def _line(node: Pad, axis: int, length: int) -> Ints:
    """Which index lands where when one axis is padded."""
    places, rank = np.arange(length), node.x.type.rank
    alone = Pad(const(places), (node.pads[axis], node.pads[rank + axis]), node.mode)
    return alone.evaluate(places)


def _pad_constant(ctx: Lowering, node: Pad, before: Sequence[int]) -> None:
    """The border is filled as a halo would be, the rest copied inside."""
    if node in ctx.halos and ctx.halos[node][1] != node.fill:
        del ctx.halos[node]
    source, target = ctx.value(node.x), ctx.allocate(node)
    shape, old = _shape(node), _shape(node.x)
    inner = tuple(
        (max(b, 0), max(new - length - b, 0))
        for b, new, length in zip(before, shape, old, strict=True)
    )
    part = tuple(new - sum(room) for new, room in zip(shape, inner, strict=True))
    offset = source.layout.offset - sum(
        min(b, 0) * s for b, s in zip(before, source.layout.strides, strict=True)
    )
    draft = ctx.draft(
        part, target.layout.order, lanes=_lanes_for(ctx, target, part),
        exact=any(inner[target.layout.inner]),
    )  # fmt: skip
    number = draft.view(source.where, source.elem, source.layout.strides, offset=offset)
    start = target.layout.offset + sum(
        room[0] * s for room, s in zip(inner, target.layout.strides, strict=True)
    )
    around = replace(
        target,
        layout=Layout(part, target.layout.order, _added(inner, target.layout), target.layout.width),
        fill=node.fill,
    )
    ctx.finish(
        node, draft, target, e.load(number, source.elem), border=around,
        place=(target.layout.strides, start),
    )  # fmt: skip


def _added(inner: tuple[tuple[int, int], ...], layout: Layout) -> tuple[tuple[int, int], ...]:
    return tuple((a[0] + b[0], a[1] + b[1]) for a, b in zip(inner, layout.halo, strict=True))


def interpolate(ctx: Lowering, group: Group) -> None:
    """Two taps per axis, weights in steps of 2^-7 (floats: as they are), and what is behind it."""
    node = group.root
    assert isinstance(node, ResizeLinear)
    source, target = ctx.value(node.x), ctx.allocate(group.head)
    draft = ctx.draft(_shape(node), target.layout.order)
    total = _interpolated(node, source, draft, len(node.low) - 1, list(source.layout.strides))
    chain = ctx.chain(group, draft)
    chain.done[node] = total
    ctx.finish(group.head, draft, target, chain.expr(group.head))


def _interpolated(
    node: ResizeLinear, source: Value, draft: Draft, i: int, steps: list[Step]
) -> e.Expr:
    """The sum over the taps of resampled axes 0 ... i; the others' steps are chosen already."""
    real = source.elem == "f32"
    if i < 0:
        number = draft.view(source.where, source.elem, steps, offset=source.layout.offset)
        loaded = load_of(number, source.elem)
        return loaded if real else e.sub(loaded, e.imm(zero_of(node.x)))
    axis = len(steps) - len(node.low) + i
    stride = source.layout.strides[axis]
    weight = np.array(node.frac[i], np.float32) if real else node.weights(i)
    shape = tuple(-1 if a == axis else 1 for a in range(len(steps)))
    one = 1.0 if real else 1 << FRACTION_BITS
    parts: list[e.Expr] = []
    length = static(node.x.type.shape)[axis]
    for index, share in zip(node.taps(i, length), (one - weight, weight), strict=True):
        there = list(steps)
        there[axis] = draft.table(index * stride)
        factor = draft.constant(
            share.astype(weight.dtype).reshape(shape), source.elem if real else "i32"
        )
        held = factor if real else e.load(factor.view, "i32", lo=0, hi=1 << FRACTION_BITS)
        parts.append(e.mul(_interpolated(node, source, draft, i - 1, there), held))
    return e.add(*parts)
