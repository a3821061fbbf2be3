"""Convolutions and matrix products over bytes, by dot instructions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.ir.dims import static
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.source import Const
from qcompile.targets.tvm import expr as e
from qcompile.targets.tvm.draft import Draft, Value
from qcompile.targets.tvm.fuse import Group
from qcompile.targets.tvm.geometry import Axis, conv_axes, met, transposed_axes
from qcompile.targets.tvm.isa import Dot, Isa
from qcompile.targets.tvm.lowering import Lowering
from qcompile.targets.tvm.nest import Step
from qcompile.targets.tvm.packing import by_block, pack, whole_rows

Ints = NDArray[Any]


def convolve(ctx: Lowering, group: Group) -> None:
    """A convolution, or each phase of a transposed one, and what is fused behind it."""
    node = group.root
    assert isinstance(node, Conv | ConvTranspose)
    out = static(node.type.shape[2:])
    target = ctx.allocate(group.head)
    if isinstance(node, Conv):
        _one(ctx, group, conv_axes(node.window, out), target)
        return
    for i, axes in enumerate(transposed_axes(node.window, out)):
        _one(ctx, group, axes, target, border=i == 0)


def halo_of(node: Conv | ConvTranspose) -> tuple[tuple[int, int], ...]:
    """How far outside of x the node reads, per axis of x."""
    out, lengths = static(node.type.shape[2:]), static(node.x.type.shape[2:])
    if isinstance(node, Conv):
        phases = [conv_axes(node.window, out)]
    else:
        phases = list(transposed_axes(node.window, out))
    reach = [
        [axes[i].reach(length) for axes in phases] or [(0, 0)] for i, length in enumerate(lengths)
    ]
    spatial = tuple((max(b for b, _ in r), max(a for _, a in r)) for r in reach)
    return ((0, 0), (0, 0), *spatial)


def zero_of(node: Node) -> int:
    """The integer that stands for real 0."""
    unit = node.type.unit
    return 0 if unit is None else unit.zero_point[0]


def dense_weights(node: Conv | ConvTranspose) -> Ints:
    """Weights less their zero points, as [outputs, channels of the group, *kernel]."""
    assert isinstance(node.w, Const)
    w: Ints = np.asarray(node.w.array)
    if node.w.type.unit is not None:
        w = w.astype(np.int32) - node.w.type.unit.zero_points(w.ndim).astype(np.int32)
    if isinstance(node, Conv):
        return w
    c, each, *kernel = w.shape
    split = w.reshape(node.groups, c // node.groups, each, *kernel)
    return split.swapaxes(1, 2).reshape(node.groups * each, c // node.groups, *kernel)


def takes_dot(x: Node, weights: Ints) -> bool:
    """Bytes on both sides."""
    small = weights.size == 0 or (weights.min() >= -128 and weights.max() <= 127)
    return x.type.unit is not None and x.type.elem.storage.itemsize == 1 and bool(small)


def effective_zero(x: Node, isa: Isa) -> int:
    """The zero point of x in the form in which the dot instruction sees it."""
    zero = zero_of(x)
    if isa.dot is Dot.VNNI and x.type.elem.signed:
        return zero + 128
    if isa.dot is Dot.SDOT and not x.type.elem.signed:
        return zero - 128
    return zero


def _one(
    ctx: Lowering, group: Group, axes: tuple[Axis, ...], target: Value, *, border: bool = True
) -> None:
    node = group.root
    assert isinstance(node, Conv | ConvTranspose)
    n, outputs, *_ = static(node.type.shape)
    rank = len(axes)
    order = (0, *range(2, rank + 2), 1)
    x = ctx.read(node.x, order, halo_of(node), zero_of(node.x))
    grid = ((0, 1), (0, 1), *((a.out_start, a.out_step) for a in axes))
    draft = ctx.draft((n, outputs, *(a.count for a in axes)), order, grid=grid)
    weights = met(dense_weights(node), axes)
    bias = _bias(node, weights, effective_zero(node.x, ctx.isa))
    body, inner = _body(ctx.isa, draft, x, axes, weights, node)
    chain = ctx.chain(group, draft)
    chain.done[node] = e.Acc(*ctx.bounds.of(node), "i32")
    init = draft.constant(bias.reshape(1, -1, *(1,) * rank), "i32")
    ctx.finish(
        group.head, draft, target, chain.expr(group.head), inner=inner, body=body, combine="dot",
        init=init, border=border,
    )  # fmt: skip


def _bias(node: Conv | ConvTranspose | MatMul, weights: Ints, zero: int) -> Ints:
    """bias − zero · Σ weights per output, modulo 2^32."""
    total = -zero * weights.reshape(weights.shape[0], -1).astype(np.int64).sum(1)
    if isinstance(node.bias, Const):
        total = total + np.asarray(node.bias.array).astype(np.int64)
    return total.astype(np.int32)


def _body(
    isa: Isa, draft: Draft, x: Value, axes: tuple[Axis, ...], weights: Ints,
    node: Conv | ConvTranspose,
) -> tuple[e.Dot, tuple[int, ...]]:  # fmt: skip
    """The step Σ over taps and groups of bytes, and the reduced extents."""
    spatial = x.layout.strides[2:]
    outputs, depth, *kernel = weights.shape
    flat = weights.reshape(outputs, depth, -1).swapaxes(1, 2)
    taps = [a.tap_step * s for a, s in zip(axes, spatial, strict=True)]
    first: Step = 0
    last = axes[-1]
    if node.groups == 1 and x.layout.width <= 4 and (last.tap_step == 1 or kernel[-1] == 1):
        rows = weights.reshape(outputs, depth, -1, kernel[-1]).transpose(0, 2, 3, 1)
        flat = whole_rows(rows, x.layout.width)
        kernel, taps = kernel[:-1], taps[:-1]
    elif node.groups > 1:
        flat, starts = by_block(flat, node.groups, isa.lanes)
        first = draft.table(starts)
    packed = pack(flat, isa)
    strides: list[Step] = [x.layout.strides[0], 0]
    strides += [a.in_step * s for a, s in zip(axes, spatial, strict=True)]
    offset = x.layout.offset + sum(a.in_start * s for a, s in zip(axes, spatial, strict=True))
    group = isa.dot.group
    draft.inner = (*kernel, packed.shape[2])
    number = draft.view(
        x.where, x.elem, strides, offset=offset, inner=(*taps, group), block=first, lane=0
    )
    return _dot(isa, draft, number, x.elem == "i8", packed, tuple(kernel)), draft.inner


def _dot(
    isa: Isa, draft: Draft, x: int, signed: bool, packed: Ints, kernel: tuple[int, ...]
) -> e.Dot:
    line = packed.shape[3] * packed.shape[4]
    steps = [line]
    run = packed.shape[2] * line
    for extent in reversed(kernel):
        steps.insert(0, run)
        run *= extent
    w = draft.view(
        draft.weights.put(packed), isa.dot.weight, (0,) * len(draft.shape),
        inner=steps, block=run, lane=1,
    )  # fmt: skip
    return e.Dot(0, 0, "i32", x, w, signed)


def multiply(ctx: Lowering, group: Group) -> None:
    """a @ constant, and what is fused behind it."""
    node = group.root
    assert isinstance(node, MatMul)
    assert isinstance(node.b, Const)
    shape = static(node.type.shape)
    rank = len(shape)
    a = ctx.read(node.a, range(node.a.type.rank))
    target = ctx.allocate(group.head)
    draft = ctx.draft(shape, tuple(range(rank)))
    weights = product_weights(node)
    depth, columns = weights.shape[-2:]
    batch = weights.shape[:-2]
    rows = weights.reshape(-1, depth, columns)
    packed = np.stack([pack(w.T[:, None, :], ctx.isa) for w in rows])
    bias = np.stack([_bias(node, w.T, effective_zero(node.a, ctx.isa)) for w in rows])
    body = _product_body(ctx.isa, draft, a, node, packed, batch)
    chain = ctx.chain(group, draft)
    chain.done[node] = e.Acc(*ctx.bounds.of(node), "i32")
    init = draft.constant(bias.reshape(*batch, 1, columns), "i32")
    ctx.finish(
        group.head, draft, target, chain.expr(group.head), inner=draft.inner, body=body,
        combine="dot", init=init,
    )  # fmt: skip


def product_weights(node: MatMul) -> Ints:
    """The constant right operand less its zero points: [..., k, columns]."""
    assert isinstance(node.b, Const)
    w: Ints = np.asarray(node.b.array)
    if node.b.type.unit is None:
        return w
    return w.astype(np.int32) - node.b.type.unit.zero_points(w.ndim).astype(np.int32)


def _product_body(
    isa: Isa, draft: Draft, a: Value, node: MatMul, packed: Ints, batch: tuple[int, ...]
) -> e.Dot:
    rank = len(draft.shape)
    groups, line = packed.shape[3], packed.shape[4] * packed.shape[5]
    draft.inner = (groups,)
    x = _left(draft, a, static(node.a.type.shape), isa.dot.group)
    strides = [0] * rank
    run = packed[0].size
    for i, extent in reversed(list(enumerate(batch))):
        strides[rank - 2 - len(batch) + i] = run if extent > 1 else 0
        run *= extent
    w = draft.view(
        draft.weights.put(packed), isa.dot.weight, strides, inner=(line,),
        block=groups * line, lane=1,
    )  # fmt: skip
    return e.Dot(0, 0, "i32", x, w, a.elem == "i8")


def _left(draft: Draft, a: Value, shape: tuple[int, ...], group: int) -> int:
    """The left operand's rows, the same for all columns, `group` elements at a step."""
    lead = len(draft.shape) - len(shape)
    own = [s if d > 1 else 0 for s, d in zip(a.layout.strides, shape, strict=True)]
    own[-1] = 0
    return draft.view(
        a.where, a.elem, [0] * lead + own, offset=a.layout.offset, inner=(group,), block=0, lane=0
    )


__all__ = ["convolve", "dense_weights", "halo_of", "multiply", "takes_dot", "zero_of"]
