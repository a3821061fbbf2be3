"""Operations that exist only on integers: changes of unit, table lookup."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.ir.node import Node, op
from qcompile.ir.ops.quant import expanded
from qcompile.ir.ops.source import Const
from qcompile.ir.types import I8, I32, Array, Scalar, TensorType
from qcompile.ir.unit import Affine
from qcompile.numerics.fixedpoint import WORD, Multipliers, multipliers, rescale

PROBABILITY_BITS = 30


@op
class Requantize(Node):
    """clip(((q − zx) · m + 2^(s−1) >> s) + z, lo, hi): the only operation that changes a unit.

    Round half up in int64. `numbers` holds m (one, or one per index of the unit's axis of x) and
    s. `lo` and `hi` are the element's bounds or tighter ones: a fused ReLU or clip.
    """

    x: Node
    elem: Scalar
    unit: Affine
    numbers: Multipliers
    lo: int
    hi: int

    def infer(self) -> TensorType:
        source = self.x.type
        self.require(source.unit is not None, "wants integers with a unit")
        assert source.unit is not None
        self.require(self.unit.per_tensor, f"gives one scale, not {self.unit}")
        self.require(
            self.elem.lo <= self.lo <= self.hi <= self.elem.hi,
            f"bounds {self.lo}…{self.hi} do not lie in {self.elem}",
        )
        count, wanted = len(self.numbers.value), len(source.unit.scale)
        self.require(count in (1, wanted), f"{count} multipliers for {wanted} scales")
        return TensorType(source.shape, self.elem, self.unit)

    def evaluate(self, *operands: Array) -> Array:
        q: NDArray[Any] = operands[0]
        source = self.x.type.unit
        assert source is not None
        wide = q.astype(np.int64)
        if not source.symmetric:
            wide = wide - source.zero_points(q.ndim)
        value = rescale(wide, self.spread(), self.numbers.shift) + self.unit.zero_point[0]
        return np.clip(value, self.lo, self.hi).astype(self.elem.storage)

    def spread(self) -> NDArray[np.int64]:
        """The multipliers, shaped to broadcast against x."""
        values = np.array(self.numbers.value, np.int64)
        rank, axis = self.x.type.rank, self.x.type.unit.axis if self.x.type.unit else None
        if axis is None or values.size == 1:
            return values.reshape((1,) * rank)
        return values.reshape(tuple(-1 if i == axis else 1 for i in range(rank)))


@op
class ExpandGroups(Node):
    """step · q in i8: narrow integers whose groups have steps, as integers of one scale a channel.

    Exact, since a unit's steps are at most what keeps the product in 8 bits.
    """

    x: Node

    def infer(self) -> TensorType:
        source = self.x.type
        self.require(source.unit is not None and source.unit.group is not None, "wants groups")
        assert source.unit is not None
        return TensorType(source.shape, I8, source.unit.whole)

    def evaluate(self, *operands: Array) -> Array:
        assert self.x.type.unit is not None
        return expanded(operands[0], self.x.type.unit)


@op
class Lut(Node):
    """table[q − lo]: any function of one value of at most 16 bits.

    `table` is a constant [2^bits] whose first entry belongs to the least integer of x's element
    format; its element format and unit are the result's.
    """

    x: Node
    table: Node

    def infer(self) -> TensorType:
        source, table = self.x.type, self.table.type
        self.require(source.unit is not None, "wants integers with a unit")
        self.require(source.elem.bits <= 16, f"wants at most 16 bits, got {source.elem}")
        self.require(table.shape == (1 << source.elem.bits,), f"{table} as table for {source.elem}")
        self.require(table.unit is not None and table.unit.per_tensor, "table wants one scale")
        return TensorType(source.shape, table.elem, table.unit)

    def evaluate(self, *operands: Array) -> Array:
        x, table = operands
        return table[x.astype(np.int64) - self.x.type.elem.lo]


@op
class SoftmaxInteger(Node):
    """e^(s·q) / Σ e^(s·q) along one axis in integers, in i32 of unit 2^-30.

    `numbers` is s·log2(e)·2^15 as one multiplier and shift. With d = max q − q:
    y = (d·m) >> shift (floor, Q15), k = y >> 15, g = 2^15 − (y mod 2^15),
    p = 32768 + (g·(22803 + (g·(7368 + (g·2597 >> 15)) >> 15)) >> 15) ≈ 2^15 · 2^(g/2^15),
    e = (p << 15) >> (k + 1), result = (e·2^30 + (Σe >> 1)) div Σe. All shifts round down.
    The cubic is pinned at both ends, so e is continuous and falls with d (algorithms, 2.1).
    """

    x: Node
    axis: int
    numbers: Multipliers

    def infer(self) -> TensorType:
        x = self.x.type
        self.require(x.unit is not None and x.unit.per_tensor, "wants integers of one scale")
        self.require(0 <= self.axis < x.rank, f"axis {self.axis} of a tensor of rank {x.rank}")
        self.require(len(self.numbers.value) == 1, "wants one multiplier")
        return TensorType(x.shape, I32, Affine((2.0**-PROBABILITY_BITS,)))

    def evaluate(self, *operands: Array) -> Array:
        q = operands[0].astype(np.int64)
        distance: NDArray[Any] = q.max(self.axis, keepdims=True) - q
        y = (distance * self.numbers.value[0]) >> self.numbers.shift
        octave, g = y >> 15, 32768 - (y & 32767)
        p = 32768 + (g * (22803 + (g * (7368 + (g * 2597 >> 15)) >> 15)) >> 15)
        e = (p << 15) >> np.minimum(octave + 1, 62)
        total = e.sum(self.axis, keepdims=True)
        return (((e << PROBABILITY_BITS) + (total >> 1)) // total).astype(np.int32)


def constant_integers(node: Node) -> Array | None:
    """The integers of a constant or of one whose groups are expanded; None for computed values."""
    match node:
        case Const():
            return np.asarray(node.array)
        case ExpandGroups(x=Const() as x):
            return node.evaluate(x.array)
        case _:
            return None


def softmax_integer(x: Node, axis: int, *, name: str = "") -> SoftmaxInteger:
    """A softmax whose multiplier is derived from x's unit."""
    if x.type.unit is None:
        raise AssertionError(f"softmax of {x.type}")
    numbers = multipliers([x.type.unit.scale[0] * math.log2(math.e) * 32768])
    return SoftmaxInteger(x, axis, numbers, name=name)


def requantize(
    x: Node,
    elem: Scalar,
    unit: Affine,
    *,
    lo: int | None = None,
    hi: int | None = None,
    name: str = "",
) -> Requantize:
    """A requantize whose multipliers are derived from the two units.

    Products of narrow values and their multipliers fit 32 bits: 22 bits of multiplier for a byte.
    """
    source = x.type.unit
    if source is None:
        raise AssertionError(f"requantize of {x.type}")
    bits = WORD - 1 - x.type.elem.bits if x.type.elem.bits <= 8 else WORD
    numbers = multipliers([s / unit.scale[0] for s in source.scale], bits=bits)
    low = elem.lo if lo is None else lo
    high = elem.hi if hi is None else hi
    return Requantize(x, elem, unit, numbers, low, high, name=name)
