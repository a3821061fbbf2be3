"""Groups without a reduction: maps over places."""

from __future__ import annotations

from qcompile.ir.ops.binary import Pow
from qcompile.ir.ops.quant import Quantize
from qcompile.targets.loops import expr as e
from qcompile.targets.loops.draft import Draft, External, Value
from qcompile.targets.loops.fuse import Group
from qcompile.targets.loops.lower.picture import interleave, is_picture
from qcompile.targets.loops.lowering import Lowering


def pointwise(ctx: Lowering, group: Group, target: Value) -> None:
    """The group's expression at every place."""
    if _quantized_picture(ctx, group, target):
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
    scalar = (narrow and run < ctx.lanes) or any(isinstance(n, Pow) for n in group.members)
    outside = _outside(ctx, group) or isinstance(target.where, External)
    return ctx.draft(shape, order, lanes=1 if scalar else None, exact=outside)


def _outside(ctx: Lowering, group: Group) -> bool:
    """Reads an array of the caller's, past whose end nothing may be touched."""
    return any(isinstance(ctx.value(n).where, External) for n in group.reads)


def _quantized_picture(ctx: Lowering, group: Group, target: Value) -> bool:
    """Handles a picture that is quantized as it comes in."""
    if len(group.reads) != 1 or not isinstance(group.head, Quantize):
        return False
    (source,) = group.reads
    value = ctx.value(source)
    if not is_picture(ctx, value, target):
        return False

    def make(draft: Draft, loaded: e.Load) -> e.Expr:
        chain = ctx.chain(group, draft)
        chain.done[source] = loaded
        return chain.expr(group.head)

    interleave(ctx, group.head, value, target, make)
    return True
