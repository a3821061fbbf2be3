"""Convolutions and matrix products over bytes, by dot instructions."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.ir.dims import static
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.source import Const
from qcompile.targets.loops import expr as e
from qcompile.targets.loops.draft import Draft, Origin, Value
from qcompile.targets.loops.fuse import Group
from qcompile.targets.loops.geometry import Axis, conv_axes, met, transposed_axes, under
from qcompile.targets.loops.layout import channels_last
from qcompile.targets.loops.lowering import Lowering
from qcompile.targets.loops.nest import Step
from qcompile.targets.loops.weights import (
    bias_of,
    dense_weights,
    halo_of,
    origin,
    product_weights,
    zero_of,
)  # fmt: skip
from qcompile.targets.tvm.isa import Dot, Isa
from qcompile.targets.tvm.packing import by_block, ordered, pack, whole_rows

Ints = NDArray[Any]


def convolve(ctx: Lowering, group: Group, *, isa: Isa) -> None:
    """A convolution, or each phase of a transposed one, and what is fused behind it."""
    node = group.root
    assert isinstance(node, Conv | ConvTranspose)
    out = static(node.type.shape[2:])
    target = ctx.allocate(group.head)
    if isinstance(node, Conv):
        _one(ctx, group, conv_axes(node.window, out), target, isa)
        return
    for i, axes in enumerate(transposed_axes(node.window, out)):
        _one(ctx, group, axes, target, isa, border=i == 0)


def effective_zero(x: Node, isa: Isa) -> int:
    """The zero point of x in the form in which the dot instruction sees it."""
    zero = zero_of(x)
    if isa.dot is Dot.VNNI and x.type.elem.signed:
        return zero + 128
    if isa.dot is Dot.SDOT and not x.type.elem.signed:
        return zero - 128
    return zero


def _one(
    ctx: Lowering, group: Group, axes: tuple[Axis, ...], target: Value, isa: Isa, *,
    border: bool = True,
) -> None:  # fmt: skip
    node = group.root
    assert isinstance(node, Conv | ConvTranspose)
    n, outputs, *_ = static(node.type.shape)
    rank = len(axes)
    order = channels_last(rank + 2)
    x = ctx.read(node.x, order, halo_of(node), zero_of(node.x))
    grid = ((0, 1), (0, 1), *((a.out_start, a.out_step) for a in axes))
    draft = ctx.draft((n, outputs, *(a.count for a in axes)), order, grid=grid)
    weights = met(dense_weights(node), axes)
    bias = bias_of(node, weights, effective_zero(node.x, isa))
    body, inner = _body(isa, draft, x, axes, weights, node)
    chain = ctx.chain(group, draft)
    chain.done[node] = e.Acc(*ctx.bounds.of(node), "i32")
    init = draft.constant(bias.reshape(1, -1, *(1,) * rank), "i32")
    ctx.finish(
        group.head, draft, target, chain.expr(group.head), inner=inner, body=body, combine="dot",
        init=init, border=border,
    )  # fmt: skip


def _body(
    isa: Isa, draft: Draft, x: Value, axes: tuple[Axis, ...], weights: Ints,
    node: Conv | ConvTranspose,
) -> tuple[e.Dot, tuple[int, ...]]:  # fmt: skip
    """The step Σ over taps and groups of bytes, and the reduced extents."""
    seen = under(x.layout, axes)
    kernel, taps = weights.shape[2:], seen.taps
    first: Step = 0
    last = axes[-1]
    arrange = _flat
    if node.groups == 1 and x.layout.width <= 4 and (last.tap_step == 1 or kernel[-1] == 1):
        arrange = partial(_in_rows, width=x.layout.width)
        kernel, taps = kernel[:-1], taps[:-1]
    elif node.groups > 1:
        first = draft.table(by_block(_flat(weights), node.groups, isa.lanes)[1])
        arrange = partial(_by_block, groups=node.groups, lanes=isa.lanes)
    packed = pack(arrange(weights), isa)
    of = origin(node, lambda w: ordered(arrange(met(w, axes)), isa))
    strides = (x.layout.strides[0], 0, *seen.places)
    group = isa.dot.group
    draft.inner = (*kernel, packed.shape[2])
    number = draft.view(
        x.where,
        x.elem,
        strides,
        offset=seen.offset,
        inner=(*taps, group),
        block=first,
        lane=0,
    )
    w = _weights(isa, draft, packed, kernel, of)
    return e.Dot(0, 0, "i32", number, w, x.elem == "i8"), draft.inner


def _flat(weights: Ints) -> Ints:
    """[outputs, depth, *kernel] → [outputs, taps, depth]."""
    return weights.reshape(*weights.shape[:2], -1).swapaxes(1, 2)


def _in_rows(weights: Ints, *, width: int) -> Ints:
    """The same with the last axis of the kernel and the channels as one run of bytes."""
    outputs, depth, *kernel = weights.shape
    rows = weights.reshape(outputs, depth, -1, kernel[-1]).transpose(0, 2, 3, 1)
    return whole_rows(rows, width)


def _by_block(weights: Ints, *, groups: int, lanes: int) -> Ints:
    return by_block(_flat(weights), groups, lanes)[0]


def _weights(isa: Isa, draft: Draft, packed: Ints, kernel: tuple[int, ...], of: Origin) -> int:
    """Packed weights as a view that runs over taps and groups."""
    line = packed.shape[3] * packed.shape[4]
    steps = [line]
    run = packed.shape[2] * line
    for extent in reversed(kernel):
        steps.insert(0, run)
        run *= extent
    return draft.view(
        draft.weights.put(packed, of), isa.dot.weight, (0,) * len(draft.shape),
        inner=steps, block=run, lane=1,
    )  # fmt: skip


def multiply(ctx: Lowering, group: Group, *, isa: Isa) -> None:
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
    packed = np.stack([pack(w.T[:, None, :], isa) for w in rows])
    of = origin(node, lambda w: np.stack(
        [ordered(each.T[:, None, :], isa) for each in w.reshape(-1, depth, columns)]
    ))  # fmt: skip
    bias = np.stack([bias_of(node, w.T, effective_zero(node.a, isa)) for w in rows])
    body = _product_body(isa, draft, a, node, packed, of)
    chain = ctx.chain(group, draft)
    chain.done[node] = e.Acc(*ctx.bounds.of(node), "i32")
    init = draft.constant(bias.reshape(*batch, 1, columns), "i32")
    ctx.finish(
        group.head, draft, target, chain.expr(group.head), inner=draft.inner, body=body,
        combine="dot", init=init,
    )  # fmt: skip


def _product_body(
    isa: Isa, draft: Draft, a: Value, node: MatMul, packed: Ints, of: Origin
) -> e.Dot:
    rank, batch = len(draft.shape), static(node.b.type.shape)[:-2]
    groups, line = packed.shape[3], packed.shape[4] * packed.shape[5]
    draft.inner = (groups,)
    x = left_rows(draft, a, static(node.a.type.shape), isa.dot.group)
    strides = [0] * rank
    run = packed[0].size
    for i, extent in reversed(list(enumerate(batch))):
        strides[rank - 2 - len(batch) + i] = run if extent > 1 else 0
        run *= extent
    w = draft.view(
        draft.weights.put(packed, of), isa.dot.weight, strides, inner=(line,),
        block=groups * line, lane=1,
    )  # fmt: skip
    return e.Dot(0, 0, "i32", x, w, a.elem == "i8")


def left_rows(draft: Draft, a: Value, shape: tuple[int, ...], group: int) -> int:
    """The left operand's rows, the same for all columns, `group` elements at a step."""
    lead = len(draft.shape) - len(shape)
    own = [s if d > 1 else 0 for s, d in zip(a.layout.strides, shape, strict=True)]
    own[-1] = 0
    return draft.view(
        a.where, a.elem, [0] * lead + own, offset=a.layout.offset, inner=(group,), block=0, lane=0
    )
