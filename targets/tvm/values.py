"""Products of two values in bytes, by dot instructions: the right one is packed at run time.

    Σ (a − za)·(b − zb) = Σ a'·b' − za'·Σ b' − zb·Σ (a − za)

a' and b' are the bytes as the instruction sees them, za' their zero points' form; zb is that of b'.
Sums over b' are made by the same instruction, those over a where zb is not 0. All modulo 2^32.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from qcompile.ir.dims import static
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.source import Const
from qcompile.targets.loops import expr as e
from qcompile.targets.loops.draft import Draft, Value, load_of
from qcompile.targets.loops.fuse import Group
from qcompile.targets.loops.lowering import Lowering
from qcompile.targets.loops.weights import zero_of
from qcompile.targets.tvm.contraction import effective_zero, left_rows
from qcompile.targets.tvm.isa import Dot, Isa
from qcompile.targets.tvm.words import WORD, Words

FEW_ROWS = 4  # so many repay the packing


def takes_values(node: MatMul, isa: Isa) -> bool:
    """Bytes on both sides, and enough rows for each matrix on the right."""
    if isa.dot not in (Dot.VNNI, Dot.SDOT) or min(node.a.type.rank, node.b.type.rank) < 2:
        return False
    sides = (node.a.type, node.b.type)
    small = all(side.unit is not None and side.elem.storage.itemsize == 1 for side in sides)
    matrices = prod(static(node.b.type.shape)[:-2])
    rows = prod(static(node.type.shape)[:-1]) // max(matrices, 1)
    return small and rows >= FEW_ROWS and static(node.a.type.shape)[-1] >= WORD


def multiply_values(ctx: Lowering, group: Group, *, isa: Isa) -> None:
    """a @ b, and what is fused behind it."""
    node = group.root
    assert isinstance(node, MatMul)
    shape, a = static(node.type.shape), ctx.read(node.a, range(node.a.type.rank))
    right = Words(ctx, node, isa.lanes)
    packed = right.packed()
    sums = _column_sums(ctx, right, packed, isa)
    rows = _row_sums(ctx, node, a, right.zero)
    target = ctx.allocate(group.head)
    draft = ctx.draft(shape, range(len(shape)))
    draft.inner = (right.groups,)
    x = left_rows(draft, a, static(node.a.type.shape), WORD)
    w = _words(draft, right, packed, [0], isa)
    init = _beside(draft, sums, right.batch) if sums else e.imm(0)
    if isinstance(node.bias, Const):
        init = e.Binary(*e.INT32, "i32", "add", init, draft.constant(node.bias.array, "i32"))
    chain = ctx.chain(group, draft)
    chain.done[node] = e.Acc(*ctx.bounds.of(node), "i32")
    if rows is not None:
        loaded = draft.read(rows, (*static(node.a.type.shape)[:-1], 1))
        chain.done[node] = e.Binary(
            *ctx.bounds.of(node), "i32", "add", e.Acc(*e.INT32, "i32"), loaded
        )
    ctx.finish(
        group.head, draft, target, chain.expr(group.head), inner=draft.inner,
        body=e.Dot(0, 0, "i32", x, w, a.elem == "i8"), combine="dot", init=init,
    )  # fmt: skip


def _words(draft: Draft, right: Words, packed: Value, rows: Sequence[int], isa: Isa) -> int:
    """The packed operand's bytes; `rows`: strides of axes that it does not have."""
    *before, along, _ = (WORD * s for s in packed.layout.strides)
    own = [s if d > 1 else 0 for s, d in zip(before, right.batch, strict=True)]
    lead = [0] * (len(draft.shape) - len(own) - len(rows) - 1)
    return draft.view(
        packed.where, "i8", [*lead, *own, *rows, 0], inner=(along,), block=WORD * isa.lanes, lane=1
    )


def _beside(draft: Draft, sums: Value, batch: Sequence[int]) -> e.Expr:
    """The columns' sums, the same for all rows."""
    *before, across = sums.layout.strides
    own = [s if d > 1 else 0 for s, d in zip(before, batch, strict=True)]
    lead = [0] * (len(draft.shape) - len(own) - 2)
    return load_of(draft.view(sums.where, "i32", [*lead, *own, 0, across]), "i32")


def _column_sums(ctx: Lowering, right: Words, packed: Value, isa: Isa) -> Value | None:
    """−za' · Σ b' of each column; nothing where za' is 0."""
    zero = effective_zero(right.node.a, isa)
    if zero == 0:
        return None
    shape = (*right.batch, right.columns)
    target = ctx.scratch(right.node, shape, "i32")
    draft = ctx.draft(shape, range(len(shape)))
    draft.inner = (right.groups,)
    signed = isa.dot is Dot.SDOT
    kind = "i8" if signed else "u8"
    ones = draft.weights.put(np.ones(WORD, np.int8 if signed else np.uint8))
    x = draft.view(ones, kind, [0] * len(shape), inner=(0,), block=0, lane=0)
    w = _words(draft, right, packed, [], isa)
    total = e.Binary(*e.INT32, "i32", "mul", e.Acc(*e.INT32, "i32"), e.imm(-zero))
    ctx.finish(
        right.node, draft, target, total, inner=draft.inner,
        body=e.Dot(0, 0, "i32", x, w, signed), combine="dot", init=e.imm(0),
    )  # fmt: skip
    return target


def _row_sums(ctx: Lowering, node: MatMul, a: Value, zero: int) -> Value | None:
    """−zb · Σ (a − za) of each row; nothing where zb is 0."""
    if zero == 0:
        return None
    *before, depth = static(node.a.type.shape)
    shape = (*before, 1)
    target = ctx.scratch(node, shape, "i32")
    draft = ctx.draft(shape, range(len(shape)), lanes=1, exact=True)
    draft.inner = (depth,)
    strides = [*a.layout.strides[:-1], 0]
    x = draft.view(a.where, a.elem, strides, offset=a.layout.offset, inner=(1,))
    total = e.Binary(*e.INT32, "i32", "mul", e.Acc(*e.INT32, "i32"), e.imm(-zero))
    ctx.finish(
        node, draft, target, total, inner=draft.inner, body=load_of(x, a.elem), combine="add",
        init=e.imm(-zero_of(node.a) * depth),
    )  # fmt: skip
    return target
