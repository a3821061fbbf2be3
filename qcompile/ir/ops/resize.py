"""Resampling along the spatial axes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.ir.dims import Shape, static
from qcompile.ir.node import Node, op
from qcompile.ir.ops.linear import centred
from qcompile.ir.types import I32, Array, TensorType
from qcompile.ir.unit import Affine
from qcompile.numerics import exact

Values = NDArray[Any]

FRACTION_BITS = 7


@op
class ResizeNearest(Node):
    """result[p] = x[indices_0[p_0], indices_1[p_1], …] on the last axes. Keeps the unit.

    The index lists are worked out when the model is read, so no coordinate rule is left here.
    """

    x: Node
    indices: tuple[tuple[int, ...], ...]

    def infer(self) -> TensorType:
        x, n = self.x.type, len(self.indices)
        self.require(x.unit is None or x.unit.per_tensor, "wants one scale")
        for length, chosen in zip(x.shape[-n:], self.indices, strict=True):
            inside = not isinstance(length, int) or all(0 <= i < length for i in chosen)
            self.require(inside, f"takes an index outside of length {length}")
        return TensorType((*x.shape[:-n], *(len(i) for i in self.indices)), x.elem, x.unit)

    def evaluate(self, *operands: Array) -> Array:
        x, n = operands[0], len(self.indices)
        for i, chosen in enumerate(self.indices):
            x = np.take(x, np.array(chosen, np.int64), x.ndim - n + i)
        return x


@op
class ResizeLinear(Node):
    """result = Σ_{i,j,…} w_0[p_0, i] · w_1[p_1, j] · … · x[…, i, j, …] with two taps per axis.

    Axis a of the last axes is sampled at `low[a][p]` and `low[a][p] + 1` (held inside) with weight
    1 − `frac[a][p]` and `frac[a][p]`. On integers fractions are rounded (half up) to 2^−7 and the
    result is i32 with unit scale / 2^(7·axes): exact sums, no rounding.
    """

    x: Node
    low: tuple[tuple[int, ...], ...]
    frac: tuple[tuple[float, ...], ...]

    def infer(self) -> TensorType:
        x, n = self.x.type, len(self.low)
        shape: Shape = (*x.shape[:-n], *(len(i) for i in self.low))
        if x.unit is None:
            return TensorType(shape, x.elem)
        self.require(x.unit.per_tensor, "wants one scale")
        self.require(n <= 2, "integer kernels resample one or two axes")
        return TensorType(shape, I32, Affine((x.unit.scale[0] / (1 << FRACTION_BITS * n),)))

    def weights(self, axis: int) -> NDArray[np.int32]:
        """The second tap's weight in steps of 2^−7."""
        steps = np.floor(np.array(self.frac[axis]) * (1 << FRACTION_BITS) + 0.5)
        return steps.astype(np.int32)

    def taps(self, axis: int, length: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Both sampled indices, held inside [0, length)."""
        low = np.array(self.low[axis], np.int64)
        return np.clip(low, 0, length - 1), np.clip(low + 1, 0, length - 1)

    def evaluate(self, *operands: Array) -> Array:
        x: Values = operands[0]
        n = len(self.low)
        quantized = self.x.type.unit is not None
        total: Values = centred(x, self.x.type).astype(np.int64) if quantized else x
        for i in range(n):
            axis = x.ndim - n + i
            first, second = self.taps(i, static(x.shape)[axis])
            spread = tuple(-1 if a == axis else 1 for a in range(x.ndim))
            one: Any = 1 << FRACTION_BITS if quantized else x.dtype.type(1)
            weight = self.weights(i) if quantized else np.array(self.frac[i], x.dtype)
            weight = weight.reshape(spread)
            total = (
                np.take(total, first, axis) * (one - weight) + np.take(total, second, axis) * weight
            )
        return exact.as_int32(total, where=str(self)) if quantized else total
