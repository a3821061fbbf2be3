"""Steps that move values: each is a copy through strides or index tables, or no step at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from numpy.typing import NDArray

from qcompile.errors import NotLegal
from qcompile.ir.dims import static
from qcompile.ir.node import Node
from qcompile.ir.ops.resize import ResizeNearest
from qcompile.ir.ops.shape import Concat, Expand, Gather, Pad, Reshape, Slice, Transpose
from qcompile.targets.loops import expr as e
from qcompile.targets.loops.draft import External, Stored, Value, broadcast_strides
from qcompile.targets.loops.fuse import Group
from qcompile.targets.loops.layout import Layout, dense, same_bytes
from qcompile.targets.loops.lower.sampling import gather, lanes_for, pad, resize, shape_of
from qcompile.targets.loops.lowering import Lowering
from qcompile.targets.loops.nest import Step

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
            pad(ctx, node)
        case Gather():
            gather(ctx, node)
        case ResizeNearest():
            resize(ctx, node)
        case _:
            raise NotLegal(f"{node}: no kernel for {node.op}")


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
    shape, source = shape_of(node), ctx.value(x)
    if not isinstance(source.where, External | Stored) and same_bytes(source.layout, shape):
        layout = _relabelled(source.layout, shape)
        if layout is not None:
            ctx.values[node] = replace(source, layout=layout)
            return
    target = ctx.allocate(node, ctx.row_major(shape, ctx.formats[node]))
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
    lanes = None if factors[-1] >= ctx.lanes else 1
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
        part = shape_of(x)
        _copy_into(ctx, node, x, target, part, axis, start, first=i == 0)
        start += part[axis]


def _copy_into(
    ctx: Lowering, node: Node, x: Node, target: Value, part: tuple[int, ...], axis: int,
    start: int, *, first: bool,
) -> None:  # fmt: skip
    source = ctx.value(x)
    draft = ctx.draft(
        part, target.layout.order, lanes=lanes_for(ctx, target, part),
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
    strides = broadcast_strides(source.layout.strides, static(node.x.type.shape), shape_of(node))
    _copy(ctx, node, source, target, strides, source.layout.offset)
