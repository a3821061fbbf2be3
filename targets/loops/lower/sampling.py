"""Steps that read at places of their own: gathers, resizes, pads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.ir.dims import static
from qcompile.ir.node import Node
from qcompile.ir.ops.resize import FRACTION_BITS, ResizeLinear, ResizeNearest
from qcompile.ir.ops.shape import Gather, Pad
from qcompile.ir.ops.source import Const, const
from qcompile.targets.loops import expr as e
from qcompile.targets.loops.draft import Draft, Value, load_of
from qcompile.targets.loops.fuse import Group
from qcompile.targets.loops.layout import Layout, packed
from qcompile.targets.loops.lowering import Lowering
from qcompile.targets.loops.nest import Step
from qcompile.targets.loops.weights import zero_of

Ints = NDArray[Any]


def shape_of(node: Node) -> tuple[int, ...]:
    """The node's static shape."""
    return static(node.type.shape)


def lanes_for(ctx: Lowering, target: Value, part: tuple[int, ...]) -> int | None:
    """One lane where a part of the target does not fill a register."""
    return None if part[target.layout.inner] >= ctx.lanes else 1


def gather(ctx: Lowering, node: Gather) -> None:
    """Indices that are known now are a table of steps."""
    if not isinstance(node.indices, Const):
        _gather_by_value(ctx, node)
        return
    source, axis = ctx.value(node.x), node.axis
    indices: Ints = np.asarray(node.indices.array)
    length = shape_of(node.x)[axis]
    rows = np.where(indices < 0, indices + length, indices).reshape(-1)
    shape = shape_of(node)
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
    length = shape_of(node.x)[axis]
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


def resize(ctx: Lowering, node: ResizeNearest) -> None:
    """Nearest neighbours, by index tables."""
    source, target = ctx.value(node.x), ctx.allocate(node)
    rank = len(source.layout.strides)
    draft = ctx.draft(target.layout.shape, target.layout.order)
    steps: list[Step] = list(source.layout.strides)
    for i, chosen in enumerate(node.indices):
        axis = rank - len(node.indices) + i
        steps[axis] = draft.table(np.array(chosen) * source.layout.strides[axis])
    number = draft.view(source.where, source.elem, steps, offset=source.layout.offset)
    ctx.finish(node, draft, target, e.load(number, source.elem))


def pad(ctx: Lowering, node: Pad) -> None:
    """A border of one value, or of repeated ones by index tables."""
    rank = node.x.type.rank
    before = node.pads[:rank]
    if node.mode == "constant":
        _pad_constant(ctx, node, before)
        return
    source, target = ctx.value(node.x), ctx.allocate(node)
    draft = ctx.draft(target.layout.shape, target.layout.order)
    steps: list[Step] = list(source.layout.strides)
    for axis, length in enumerate(shape_of(node.x)):
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
    shape, old = shape_of(node), shape_of(node.x)
    inner = tuple(
        (max(b, 0), max(new - length - b, 0))
        for b, new, length in zip(before, shape, old, strict=True)
    )
    part = tuple(new - sum(room) for new, room in zip(shape, inner, strict=True))
    offset = source.layout.offset - sum(
        min(b, 0) * s for b, s in zip(before, source.layout.strides, strict=True)
    )
    draft = ctx.draft(
        part, target.layout.order, lanes=lanes_for(ctx, target, part),
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
    draft = ctx.draft(shape_of(node), target.layout.order)
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
