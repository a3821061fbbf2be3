"""Convolutions and matrix products over bytes and nibbles → steps for tensor cores.

The nest of a step says what is computed: output places × channels, x under each tap, what becomes
of the sum. The `Contraction` beside it says how. The sum runs over words of x that lie together.
Where there are too few places to fill the chip, parts of the sum are computed by blocks of their
own and a second step adds them up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import gcd, prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qcompile.ir.dims import static
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.program.program import Buffer
from qcompile.targets.cuda.contraction import (
    CHUNK,
    Contraction,
    Summed,
    Window,
    fit_nibbles,
    k_bytes,
    operand_bits,
    operand_format,
    windowed,
)
from qcompile.targets.cuda.cost import Choice, choose
from qcompile.targets.cuda.finishing import instructions
from qcompile.targets.cuda.packing import RUN, ordered, pack_weights
from qcompile.targets.cuda.tiles import STEP_BYTES
from qcompile.targets.cuda.work import Work
from qcompile.targets.loops import expr as e
from qcompile.targets.loops.draft import Draft, Origin, Value
from qcompile.targets.loops.fuse import Group
from qcompile.targets.loops.geometry import Axis, conv_axes, met, transposed_axes, under
from qcompile.targets.loops.layout import SLACK, channels_last, dense
from qcompile.targets.loops.nest import nbytes
from qcompile.targets.loops.pointwise import Chain
from qcompile.targets.loops.weights import (
    bias_of,
    dense_weights,
    halo_of,
    origin,
    product_weights,
    zero_of,
)

if TYPE_CHECKING:
    from qcompile.targets.cuda.lowering import DeviceLowering

Ints = NDArray[Any]
Grid = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Product:
    """One contraction, whatever it was: places in `order`, x under each tap, weights, bias.

    `outer` and `taps` are x's strides per output axis and per tap, in elements. `rows` are the
    weights as [outputs, taps, channels of the group], and come from `origin`. `bias` broadcasts
    to the places.
    """

    shape: tuple[int, ...]
    order: tuple[int, ...]
    grid: Grid
    x: Value
    outer: tuple[int, ...]
    taps: tuple[int, ...]
    offset: int
    kernel: tuple[int, ...]
    groups: int
    rows: Ints
    origin: Origin
    bias: Ints
    bits: int

    @property
    def narrow(self) -> bool:
        """Weights fit four bits."""
        return fit_nibbles(self.rows)


def convolve(ctx: DeviceLowering, group: Group) -> None:
    """A convolution, or each phase of a transposed one, and what is fused behind it."""
    node = group.root
    assert isinstance(node, Conv | ConvTranspose)
    out = static(node.type.shape[2:])
    target = ctx.allocate(group.head)
    phases = [conv_axes(node.window, out)]
    if isinstance(node, ConvTranspose):
        phases = list(transposed_axes(node.window, out))
    for i, axes in enumerate(phases):
        _append(ctx, group, _phase(ctx, node, axes), target, border=i == 0)


def _phase(ctx: DeviceLowering, node: Conv | ConvTranspose, axes: tuple[Axis, ...]) -> Product:
    n, outputs, *_ = static(node.type.shape)
    rank = len(axes)
    order = channels_last(rank + 2)
    weights = met(dense_weights(node), axes)
    bits = operand_bits(node.x, weights, int4=ctx.int4)
    elem = operand_format(node.x.type.elem, bits)
    x = ctx.read(node.x, order, halo_of(node), zero_of(node.x), elem)
    seen = under(x.layout, axes)
    return Product(
        shape=(n, outputs, *(a.count for a in axes)),
        order=order,
        grid=((0, 1), (0, 1), *((a.out_start, a.out_step) for a in axes)),
        x=x,
        outer=(x.layout.strides[0], 0, *seen.places),
        taps=seen.taps,
        offset=seen.offset,
        kernel=weights.shape[2:],
        groups=node.groups,
        rows=_by_tap(weights),
        origin=origin(node, lambda w: _by_tap(met(w, axes))),
        bias=bias_of(node, weights, zero_of(node.x)).reshape(1, -1, *(1,) * rank),
        bits=bits,
    )


def _by_tap(weights: Ints) -> Ints:
    """[outputs, channels, *kernel] → [outputs, taps, channels]."""
    return weights.reshape(*weights.shape[:2], -1).swapaxes(1, 2)


def multiply(ctx: DeviceLowering, group: Group) -> None:
    """a @ constant, and what is fused behind it."""
    node = group.root
    assert isinstance(node, MatMul)
    shape = static(node.type.shape)
    weights = product_weights(node).reshape(static(node.b.type.shape)[-2:]).T
    bits = operand_bits(node.a, weights, int4=ctx.int4)
    a = ctx.read(node.a, range(node.a.type.rank), elem=operand_format(node.a.type.elem, bits))
    own = zip(a.layout.strides[:-1], static(node.a.type.shape)[:-1], strict=True)
    lead = len(shape) - node.a.type.rank
    product = Product(
        shape=shape,
        order=tuple(range(len(shape))),
        grid=((0, 1),) * len(shape),
        x=a,
        outer=(*(0,) * lead, *(s if d > 1 else 0 for s, d in own), 0),
        taps=(),
        offset=a.layout.offset,
        kernel=(),
        groups=1,
        rows=weights[:, None, :],
        origin=origin(node, lambda w: w.reshape(w.shape[-2:]).T[:, None, :]),
        bias=bias_of(node, weights, zero_of(node.a)).reshape(*(1,) * (len(shape) - 1), -1),
        bits=bits,
    )
    _append(ctx, group, product, ctx.allocate(group.head), border=True)


def _append(
    ctx: DeviceLowering, group: Group, product: Product, target: Value, *, border: bool
) -> None:
    """One step, or two where the sum is split."""
    other = ctx.beside.get(group.head)
    copy = None if other is None else ctx.values.get(other.head) or ctx.allocate(other.head)
    draft = _draft(ctx, product, lanes=RUN)
    chain = _chain(ctx, group, draft)
    results = [(chain.expr(group.head), target.elem)]
    if other is not None and copy is not None:
        results.append((chain.expr(other.head), copy.elem))
    work = _work(ctx, group, product, (target, copy), draft, results)
    choice = choose(ctx.chip, work, ctx.measured)
    if choice.splits == 1:
        dot, plan = _dot(group, draft, product, choice, work)
        inner, combine = draft.inner, "dot"
        body: e.Expr = dot
    else:
        where, strides = _parts(ctx, group, product, choice, work)
        draft = _draft(ctx, product, lanes=ctx.lanes)
        draft.inner = inner = (choice.splits,)
        parts = draft.view(where, "i32", strides[1:], inner=strides[:1])
        body, combine = e.load(parts, "i32"), "add"
        chain, plan = _chain(ctx, group, draft), Summed()
    init = draft.constant(product.bias, "i32")
    beside = () if other is None or copy is None else ((other.head, copy, chain.expr(other.head)),)
    ctx.finish(
        group.head, draft, target, chain.expr(group.head), inner=inner, body=body,
        combine=combine, init=init, border=border, beside=beside,
    )  # fmt: skip
    ctx.planned(plan)


def _draft(ctx: DeviceLowering, product: Product, *, lanes: int) -> Draft:
    return ctx.draft(product.shape, product.order, grid=product.grid, lanes=lanes)


def _chain(ctx: DeviceLowering, group: Group, draft: Draft) -> Chain:
    """What is stored, the sum being `Acc`."""
    assert group.root is not None
    chain = ctx.chain(group, draft)
    if group.head in ctx.beside:
        chain = replace(chain, members=chain.members | ctx.beside[group.head].members)
    chain.done[group.root] = e.Acc(*ctx.bounds.of(group.root), "i32")
    return chain


def _parts(
    ctx: DeviceLowering, group: Group, product: Product, choice: Choice, work: Work
) -> tuple[Buffer, tuple[int, ...]]:
    """The step that writes each part of the sum, its memory, and strides per split and axis."""
    shape = product.shape
    draft = ctx.draft(shape, product.order, lanes=RUN)
    steps, run = [0] * len(shape), -(-shape[product.order[-1]] // 16) * 16
    steps[product.order[-1]] = 1
    for axis in reversed(product.order[:-1]):
        steps[axis] = run
        run *= shape[axis]
    name = f"{len(ctx.steps)}.{group.head.name or group.head.op}.parts"
    where = Buffer(name, nbytes(choice.splits * run + SLACK, "i32"))
    dot, plan = _dot(group, draft, product, choice, work)
    ctx.finish(
        group.head, draft, Value(where, dense((choice.splits, run)), "i32"),
        e.Acc(*e.INT32, "i32"), inner=draft.inner, body=dot, combine="dot", init=e.imm(0),
        border=False, place=(steps, 0),
    )  # fmt: skip
    ctx.planned(replace(plan, parts=run))
    return where, (run, *steps)


def _dot(
    group: Group, draft: Draft, product: Product, choice: Choice, work: Work
) -> tuple[e.Dot, Contraction]:
    """The sum as the nest's body, x and packed weights as views, and how it is run."""
    assert group.root is not None
    word, window = work.word_bytes, None
    if product.groups > 1:
        window = Window(product.rows.shape[0] // product.groups, product.rows.shape[2])
        word = CHUNK
    shape = partial(_whole_runs, product=product, window=window, block=choice.tile.bn)
    rows = shape(product.rows)
    flat = rows.reshape(rows.shape[0], -1)
    form = {"bits": product.bits, "weight_bits": work.weight_bits, "bn": choice.tile.bn}
    packed = pack_weights(flat, **form)
    of = Origin(
        product.origin.const,
        lambda w: ordered(shape(product.origin.arrange(w)).reshape(flat.shape), **form),
        bits=work.weight_bits,
    )
    step = word * 8 // product.bits
    draft.inner = (*product.kernel, rows.shape[2] // step)
    x = draft.view(
        product.x.where, product.x.elem, product.outer, offset=product.offset,
        inner=(*product.taps, step), block=0, lane=0,
    )  # fmt: skip
    nothing = (0,) * len(product.shape)
    w = draft.view(draft.weights.put(packed, of), "u8", nothing, block=0, lane=0)
    signed = group.root.operands[0].type.elem.signed
    plan = Contraction(
        bits=product.bits, weight_bits=work.weight_bits, signed=signed, word=word,
        k_bytes=k_bytes(flat.shape[1], product.bits), tile=choice.tile,
        splits=choice.splits, window=window, milliseconds=choice.milliseconds,
    )  # fmt: skip
    return e.Dot(0, 0, "i32", x, w, signed), plan


def _whole_runs(rows: Ints, *, product: Product, window: Window | None, block: int) -> Ints:
    """Channels filled up to those that x has in memory, or that a block of outputs reads."""
    if window is None:
        room = product.x.layout.width - rows.shape[2]
        return np.pad(rows, ((0, 0), (0, 0), (0, room)))
    return windowed(rows, window, block, CHUNK * 8 // product.bits)


def _work(
    ctx: DeviceLowering, group: Group, product: Product, targets: Sequence[Value | None],
    draft: Draft, results: Sequence[tuple[e.Expr, str]],
) -> Work:  # fmt: skip
    """What the cost model is told."""
    assert group.root is not None
    width, elem = product.x.layout.width, product.x.elem
    channels = width if product.groups == 1 else product.rows.shape[2]
    depth = nbytes(product.rows.shape[1] * channels, elem)
    four = product.bits == 4 or (product.narrow and group.root.operands[1].type.elem.bits <= 4)
    beside = [ctx.value(o) for o in group.reads if o not in group.root.operands]
    return Work(
        places=prod(draft.extents()[:-1]),
        outputs=product.rows.shape[0],
        depth_bytes=depth,
        bits=product.bits,
        weight_bits=4 if four else 8,
        input_bytes=nbytes(product.x.layout.size, elem),
        weight_bytes=product.rows.shape[0] * depth * (4 if four else 8) // product.bits,
        output_bytes=sum(
            nbytes(prod(draft.extents()), value.elem) for value in targets if value is not None
        ),
        extra_bytes=sum(nbytes(value.layout.size, value.elem) for value in beside),
        word_bytes=gcd(nbytes(width, elem), STEP_BYTES) if product.groups == 1 else CHUNK,
        finish_instructions=instructions(*results),
    )
