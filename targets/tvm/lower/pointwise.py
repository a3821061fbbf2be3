"""Groups without a reduction: maps over places."""

from __future__ import annotations

from qcompile.ir.dims import static
from qcompile.ir.node import Node
from qcompile.ir.ops import pointwise as p
from qcompile.ir.ops.binary import Pow
from qcompile.ir.ops.quant import Quantize
from qcompile.targets.tvm import expr as e
from qcompile.targets.tvm.draft import Draft, External, Value
from qcompile.targets.tvm.fuse import Group
from qcompile.targets.tvm.lowering import Lowering
from qcompile.targets.tvm.pointwise import Chain

ONE_BY_ONE = (Pow, p.Erf, p.Gelu)


def pointwise(ctx: Lowering, group: Group, target: Value) -> None:
    """The group's expression at every place."""
    if _is_picture(ctx, group, target):
        _picture(ctx, group, target)
        return
    draft = _draft(ctx, group, target)
    chain = ctx.chain(group, draft)
    ctx.finish(group.head, draft, target, chain.expr(group.head))


def _draft(ctx: Lowering, group: Group, target: Value) -> Draft:
    shape, order = target.layout.shape, target.layout.order
    if len(order) > 1 and target.layout.width == 1:
        order = (order[-1], *order[:-1])
    run = shape[order[-1]] if order else 1
    narrow = target.layout.width < 16 or _outside(ctx, group) or isinstance(target.where, External)
    scalar = (narrow and run < ctx.isa.lanes) or any(
        isinstance(n, ONE_BY_ONE) for n in group.members
    )
    outside = _outside(ctx, group) or isinstance(target.where, External)
    return ctx.draft(shape, order, lanes=1 if scalar else None, exact=outside)


def _outside(ctx: Lowering, group: Group) -> bool:
    """Reads an array of the caller's, past whose end nothing may be touched."""
    return any(isinstance(ctx.value(n).where, External) for n in group.reads)


def _is_picture(ctx: Lowering, group: Group, target: Value) -> bool:
    """A planar picture of the caller's that becomes 2 to 4 interleaved bytes per pixel."""
    shape = target.layout.shape
    (source, *others) = group.reads
    return (
        not others
        and len(shape) == 4
        and target.layout.order == (0, 2, 3, 1)
        and target.layout.width in (2, 4)
        and target.elem in ("u8", "i8")
        and isinstance(ctx.value(source).where, External)
        and static(source.type.shape) == shape
        and shape[3] >= ctx.isa.lanes
        and group.head.type.unit is not None
        and group.head.type.unit.per_tensor
    )


def _picture(ctx: Lowering, group: Group, target: Value) -> None:
    """All channels of a pixel as one word: byte j of a word is channel j."""
    n, channels, h, w = target.layout.shape
    width = target.layout.width
    kind = "i32" if width == 4 else "i16"
    draft = ctx.draft((n, h, w), (0, 1, 2), exact=True)
    (source,) = group.reads
    word: e.Expr | None = None
    for channel in range(channels):
        part = _channel(ctx, group, draft, source, channel)
        byte = e.Binary(0, 255, "i32", "and", part, e.imm(255))
        moved = e.Binary(*e.INT32, "i32", "shl", byte, e.imm(8 * channel)) if channel else byte
        word = moved if word is None else e.Binary(*e.INT32, "i32", "or", word, moved)
    assert word is not None
    strides = target.layout.strides
    place = (tuple(strides[a] // width for a in (0, 2, 3)), target.layout.offset // width)
    words = Value(target.where, target.layout, kind, target.fill)
    ctx.finish(group.head, draft, words, word, place=place, border=target)


def _channel(ctx: Lowering, group: Group, draft: Draft, source: Node, channel: int) -> e.Expr:
    """The group's expression for one channel of the picture."""
    value = ctx.value(source)
    strides = value.layout.strides
    number = draft.view(
        value.where, value.elem, [strides[a] for a in (0, 2, 3)],
        offset=value.layout.offset + channel * strides[1],
    )  # fmt: skip
    loaded = e.load(number, "f32" if value.elem == "f32" else "i32", lo=-128, hi=255)
    if group.head is source:
        return loaded
    assert isinstance(group.head, Quantize)
    chain = Chain(draft, ctx.values, frozenset(group.members), ctx.bounds, ctx.isa.paired)
    chain.done[source] = loaded
    return chain.expr(group.head)
