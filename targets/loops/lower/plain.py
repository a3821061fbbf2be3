"""Contractions by multiply and add: depthwise, floats, 16-bit values, wide weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.ir.dims import static
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.source import Const
from qcompile.targets.loops import expr as e
from qcompile.targets.loops.draft import Draft, Origin, Value, load_of
from qcompile.targets.loops.fuse import Group
from qcompile.targets.loops.geometry import Axis, conv_axes, met, transposed_axes, under
from qcompile.targets.loops.layout import channels_last
from qcompile.targets.loops.lower.fold import window_view
from qcompile.targets.loops.lowering import Lowering
from qcompile.targets.loops.weights import dense_weights, halo_of, origin, product_weights, zero_of

Numbers = NDArray[Any]


def depthwise(ctx: Lowering, group: Group) -> None:
    """A convolution of each channel with its own kernel."""
    node = group.root
    assert isinstance(node, Conv)
    shape = static(node.type.shape)
    order = channels_last(len(shape))
    x = ctx.read(node.x, order, halo_of(node), zero_of(node.x))
    target = ctx.allocate(group.head)
    draft = ctx.draft(shape, order)
    axes = conv_axes(node.window, shape[2:])
    draft.inner = tuple(len(a.taps) for a in axes)
    weights = dense_weights(node)[:, 0]
    number = window_view(draft, x, axes)
    of = origin(node, lambda w: _by_tap(w[:, 0]))
    body = e.mul(load_of(number, x.elem), _tap_weights(draft, weights, x.elem, of))
    _sum(ctx, group, node, draft, target, body, weights.reshape(weights.shape[0], -1))


def _by_tap(weights: Numbers) -> Numbers:
    """[channels, *taps] → [all taps, channels], padded to whole registers."""
    channels = weights.shape[0]
    return np.pad(weights.reshape(channels, -1).T, ((0, 0), (0, -channels % 16)))


def _tap_weights(draft: Draft, weights: Numbers, elem: str, of: Origin) -> e.Expr:
    """[channels, *taps] as a view that runs over taps, channels in lanes."""
    by_tap, taps = _by_tap(weights), weights.shape[1:]
    kind = "f32" if elem == "f32" else _narrowest(weights)
    steps = [by_tap.shape[1]]
    for extent in reversed(taps[1:]):
        steps.insert(0, steps[0] * extent)
    strides = [0] * len(draft.shape)
    strides[1] = 1
    stored_at = draft.weights.put(by_tap.astype(_DTYPES[kind]), of)
    return load_of(draft.view(stored_at, kind, strides, inner=steps), kind)


_DTYPES: Mapping[str, Any] = {"i8": np.int8, "i16": np.int16, "i32": np.int32, "f32": np.float32}


def _narrowest(weights: Numbers) -> str:
    reach = int(np.abs(weights.astype(np.int64)).max()) if weights.size else 0
    return "i8" if reach < 128 else "i16" if reach < 32768 else "i32"


def _sum(
    ctx: Lowering, group: Group, node: Conv | ConvTranspose | MatMul, draft: Draft, target: Value,
    body: e.Expr, weights: Numbers, *, border: bool = True,
) -> None:  # fmt: skip
    """Finishes a sum of products whose weights per output are the rows of `weights`."""
    real = body.is_float
    axis = 1 if isinstance(node, Conv | ConvTranspose) else len(draft.shape) - 1
    left = node.operands[0]
    total = weights.astype(np.float32 if real else np.int64).sum(1)
    bias = total * 0 if real else -zero_of(left) * total
    if isinstance(node.bias, Const):
        bias = bias + np.asarray(node.bias.array)
    shape = tuple(-1 if i == axis else 1 for i in range(len(draft.shape)))
    kind = np.float32 if real else np.int32
    init = draft.constant(bias.astype(kind).reshape(shape), "f32" if real else "i32")
    chain = ctx.chain(group, draft)
    bounds = (0, 0) if real else ctx.bounds.of(node)
    chain.done[node] = e.Acc(*bounds, "f32" if real else "i32")
    ctx.finish(
        group.head, draft, target, chain.expr(group.head), inner=draft.inner, body=body,
        combine="add", init=init, border=border,
    )  # fmt: skip


def convolve_plainly(ctx: Lowering, group: Group) -> None:
    """Any convolution by multiply and add: floats, 16-bit values, wide weights."""
    node = group.root
    assert isinstance(node, Conv | ConvTranspose)
    out = static(node.type.shape[2:])
    target = ctx.allocate(group.head)
    phases = [conv_axes(node.window, out)]
    if isinstance(node, ConvTranspose):
        phases = list(transposed_axes(node.window, out))
    for i, axes in enumerate(phases):
        _plain_phase(ctx, group, axes, target, border=i == 0)


def _plain_phase(
    ctx: Lowering, group: Group, axes: tuple[Axis, ...], target: Value, *, border: bool
) -> None:
    node = group.root
    assert isinstance(node, Conv | ConvTranspose)
    n, outputs, *_ = static(node.type.shape)
    order = channels_last(len(axes) + 2)
    x = ctx.read(node.x, order, halo_of(node), zero_of(node.x))
    grid = ((0, 1), (0, 1), *((a.out_start, a.out_step) for a in axes))
    draft = ctx.draft((n, outputs, *(a.count for a in axes)), order, grid=grid)
    weights = met(dense_weights(node), axes)
    depth = weights.shape[1]
    draft.inner = (*(len(a.taps) for a in axes), depth)
    kind = "f32" if x.elem == "f32" else _narrowest(weights)
    loaded = _grouped_input(draft, x, axes, node, depth)
    rows = np.moveaxis(weights, 1, -1)
    of = origin(node, lambda w: _by_tap(np.moveaxis(met(w, axes), 1, -1)))
    body = e.mul(load_of(loaded, x.elem), _tap_weights(draft, rows, kind, of))
    _sum(ctx, group, node, draft, target, body, rows.reshape(outputs, -1), border=border)


def _grouped_input(
    draft: Draft, x: Value, axes: tuple[Axis, ...], node: Conv | ConvTranspose, depth: int
) -> int:
    """x under each tap and channel of the output's group."""
    seen = under(x.layout, axes)
    strides, offset = (x.layout.strides[0], 0, *seen.places), seen.offset
    taps = (*seen.taps, x.layout.strides[1])
    if node.groups == 1:
        return draft.view(x.where, x.elem, strides, offset=offset, inner=taps, block=0, lane=0)
    outputs = draft.shape[1]
    each = outputs // node.groups
    group_of = np.arange(-(-outputs // 16) * 16) // each
    channel = draft.table(np.minimum(group_of, node.groups - 1) * depth)
    return draft.view(x.where, x.elem, strides, offset=offset, inner=taps, block=0, lane=channel)


def multiply_plainly(ctx: Lowering, group: Group) -> None:
    """a @ b by multiply and add; b in lanes. Both may be values."""
    node = group.root
    assert isinstance(node, MatMul)
    shape = static(node.type.shape)
    a = ctx.read(node.a, range(node.a.type.rank))
    target = ctx.allocate(group.head)
    draft = ctx.draft(shape, tuple(range(len(shape))))
    depth = static(node.a.type.shape)[-1]
    draft.inner = (depth,)
    lead = [0] * (len(shape) - len(a.layout.strides))
    left_shape = static(node.a.type.shape)
    own = [s if d > 1 else 0 for s, d in zip(a.layout.strides, left_shape, strict=True)]
    left = draft.view(
        a.where, a.elem, [*lead, *own[:-1], 0], offset=a.layout.offset,
        inner=(a.layout.strides[-1],), block=0, lane=0,
    )  # fmt: skip
    x, right = load_of(left, a.elem), _right(ctx, draft, node)
    if a.elem != "f32":
        x = e.sub(x, e.imm(zero_of(node.a)))
    nothing = np.zeros((shape[-1], 1), np.int32)
    _sum(ctx, group, node, draft, target, e.mul(x, right), nothing)


def _right(ctx: Lowering, draft: Draft, node: MatMul) -> e.Expr:
    """b's element less its zero point."""
    shape = static(node.b.type.shape)
    if isinstance(node.b, Const):
        weights = product_weights(node)
        kind = "f32" if node.b.type.elem.is_float else _narrowest(weights)
        room = [(0, 0)] * (weights.ndim - 1) + [(0, -shape[-1] % 16)]
        padded = np.pad(weights, room)
        of = origin(node, lambda w: np.pad(w, room))
        where, elem = draft.weights.put(padded.astype(_DTYPES[kind]), of), kind
        strides: tuple[int, ...] = tuple(s // padded.itemsize for s in padded.strides)
        offset, zero = 0, 0
    else:
        b = ctx.read(node.b, range(node.b.type.rank))
        where, elem, strides, offset = b.where, b.elem, b.layout.strides, b.layout.offset
        zero = zero_of(node.b)
    lead = [0] * (len(draft.shape) - len(shape))
    own = [s if d > 1 else 0 for s, d in zip(strides, shape, strict=True)]
    number = draft.view(
        where, elem, [*lead, *own[:-2], 0, strides[-1]], offset=offset, inner=(strides[-2],)
    )
    loaded = load_of(number, elem)
    return loaded if elem == "f32" else e.sub(loaded, e.imm(zero))
