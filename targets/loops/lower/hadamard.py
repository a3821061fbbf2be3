"""The Hadamard transform as nests: one for each Kronecker factor of its matrix.

A factor of order R costs R additions (of products with ±1) for each element: 28 for 512 channels,
where the matrix at once would cost 512. Channels lie innermost. In the last factor neighbouring
results fill the lanes, in those before it neighbouring blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod, sqrt

import numpy as np
from numpy.typing import NDArray

from qcompile.ir.dims import static
from qcompile.ir.node import Node
from qcompile.ir.ops.hadamard import Hadamard
from qcompile.ir.ops.integer import Lut, Requantize
from qcompile.ir.ops.pointwise import Relu
from qcompile.ir.ops.quant import Dequantize
from qcompile.numerics.hadamard import hadamard, kronecker_factors
from qcompile.numerics.rotations import signs
from qcompile.targets.loops import expr as e
from qcompile.targets.loops.draft import Draft, Value, load_of
from qcompile.targets.loops.fuse import Group
from qcompile.targets.loops.layout import Layout
from qcompile.targets.loops.lowering import Lowering
from qcompile.targets.loops.pointwise import stored
from qcompile.targets.loops.weights import zero_of

ALIKE = (Requantize, Lut, Relu, Dequantize)  # the same for every channel


def innermost(node: Hadamard) -> tuple[int, ...]:
    """The order of axes in which the transformed one is the innermost."""
    return (*(a for a in range(node.type.rank) if a != node.axis), node.axis)


def turn(ctx: Lowering, group: Group) -> None:
    """A transform and what is fused behind it."""
    node = group.root
    assert isinstance(node, Hadamard)
    target = ctx.allocate(group.head)
    fused = all(isinstance(member, ALIKE) for member in group.members - {node})
    factors = kronecker_factors(node.size)
    value = ctx.read(node.x, innermost(node), elem=stored(node.x.type.elem))
    for place in reversed(range(len(factors))):
        stage = _Stage(ctx, node, factors, place, value)
        if place == 0 and fused:
            stage.end(group, target)
            return
        value = stage.sums()
    _finish(ctx, group, node, value, target)


@dataclass(frozen=True)
class _Stage:
    """y[…, h, j, l] = Σ_i H[i, j] · x[…, h, i, l] for factor number `place`.

    Channel (h·R + i)·L + l, R the factor's order and L the product of those behind it. The stage
    of the last factor is the first to run: it takes signs and the zero point.
    """

    ctx: Lowering
    node: Hadamard
    factors: tuple[int, ...]
    place: int
    x: Value

    @property
    def order(self) -> int:
        """R."""
        return self.factors[self.place]

    @property
    def low(self) -> int:
        """L."""
        return prod(self.factors[self.place + 1 :])

    @property
    def first(self) -> bool:
        """It reads the transform's own operand."""
        return self.place == len(self.factors) - 1

    def sums(self) -> Value:
        """The sums in memory of their own."""
        elem = "f32" if self.x.elem == "f32" else "i32"
        shape = static(self.node.type.shape)
        layout = self.ctx.packed(shape, innermost(self.node), elem)
        target = Value(self.ctx.buffer(self.node, layout, elem), layout, elem)
        self._step(self.node, self._draft(), target, self._total())
        return target

    def end(self, group: Group, target: Value) -> None:
        """The sums, and what is fused behind them, in the target."""
        draft = self._draft()
        chain = self.ctx.chain(group, draft)
        chain.done[self.node] = _scaled(self.node, self._total())
        self._step(group.head, draft, target, chain.expr(group.head))

    def _draft(self) -> Draft:
        shape = static(self.node.type.shape)
        before = [shape[a] for a in innermost(self.node)[:-1]]
        places = [*before, shape[self.node.axis] // (self.order * self.low), self.order]
        places += [self.low] if self.low > 1 else []
        ragged = places[-1] % self.ctx.lanes != 0
        draft = self.ctx.draft(places, range(len(places)), exact=ragged)
        draft.inner = (self.order,)
        return draft

    def _step(self, head: Node, draft: Draft, target: Value, result: e.Expr) -> None:
        self.ctx.finish(
            head, draft, target, result, inner=draft.inner, body=self._term(draft), combine="add",
            init=e.imm(0, "f32" if self.x.elem == "f32" else "i32"),
            place=(self._strides(target.layout, reduced=False), target.layout.offset),
        )  # fmt: skip

    def _strides(self, layout: Layout, *, reduced: bool) -> tuple[int, ...]:
        """Of (…, h, j, l); that of j is 0 where i runs in its place."""
        before = [layout.strides[a] for a in innermost(self.node)[:-1]]
        own = 0 if reduced else self.low
        return (*before, self.order * self.low, own, *((1,) if self.low > 1 else ()))

    def _term(self, draft: Draft) -> e.Expr:
        layout = self.x.layout
        number = draft.view(
            self.x.where, self.x.elem, self._strides(layout, reduced=True), offset=layout.offset,
            inner=(self.low,),
        )  # fmt: skip
        x: e.Expr = load_of(number, self.x.elem)
        if not x.is_float:
            lo, hi = (-self._reach, self._reach) if not self.first else (x.lo, x.hi)
            zero = zero_of(self.node.x) if self.first else 0
            x = e.sub(e.load(number, "i32", lo=lo, hi=hi), e.imm(zero))
        if self.first and self.node.seed:
            x = e.mul(x, self._signs(draft))
        return e.mul(x, self._matrix(draft))

    @property
    def _reach(self) -> int:
        """The greatest magnitude of what is read: a sum over the factors that are done."""
        return self.ctx.bounds.magnitude(self.node.x) * prod(self.factors[self.place + 1 :])

    def _total(self) -> e.Expr:
        if self.x.elem == "f32":
            return e.Acc(0, 0, "f32")
        if self.place == 0:
            return e.Acc(*self.ctx.bounds.of(self.node), "i32")
        reach = self._reach * self.order
        return e.Acc(-reach, reach, "i32")

    def _matrix(self, draft: Draft) -> e.Expr:
        """H[i, j], rows padded to whole registers."""
        matrix = hadamard(self.order)
        assert matrix is not None
        rows = np.pad(matrix, [(0, 0), (0, -self.order % 16)])
        before = (0,) * (len(draft.shape) - (2 if self.low > 1 else 1))
        strides = (*before, 1, *((0,) if self.low > 1 else ()))
        return self._constant(draft, rows, strides, rows.shape[1])

    def _signs(self, draft: Draft) -> e.Expr:
        """ε of channel h·R + i: this stage's channels are neighbours."""
        blocks = draft.shape[-2] * self.order // self.node.size
        every = np.tile(signs(self.node.size, self.node.seed), blocks)
        return self._constant(draft, every, (*(0,) * (len(draft.shape) - 2), self.order, 0), 1)

    def _constant(
        self, draft: Draft, array: NDArray[np.int8], strides: tuple[int, ...], step: int
    ) -> e.Expr:
        real = self.x.elem == "f32"
        kept = draft.weights.put(array.astype(np.float32 if real else np.int8))
        number = draft.view(kept, "f32" if real else "i8", strides, inner=(step,))
        return load_of(number, "f32") if real else e.load(number, "i32", lo=-1, hi=1)


def _scaled(node: Hadamard, total: e.Expr) -> e.Expr:
    """Reals are divided by √size; an integer's unit says it."""
    return e.mul(total, e.imm(float(1 / sqrt(node.size)), "f32")) if total.is_float else total


def _finish(ctx: Lowering, group: Group, node: Hadamard, value: Value, target: Value) -> None:
    """What differs from channel to channel, on sums from memory."""
    shape = static(node.type.shape)
    draft = ctx.draft(shape, target.layout.order)
    chain = ctx.chain(group, draft)
    total = draft.read(value, shape)
    if not total.is_float:
        lo, hi = ctx.bounds.of(node)
        total = e.load(total.view, "i32", lo=lo, hi=hi)
    chain.done[node] = _scaled(node, total)
    ctx.finish(group.head, draft, target, chain.expr(group.head))
