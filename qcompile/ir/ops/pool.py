"""Pools over windows."""

from __future__ import annotations

from math import lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.ir.dims import static
from qcompile.ir.node import Node, op
from qcompile.ir.ops.linear import centred
from qcompile.ir.ops.window import Window
from qcompile.ir.types import I32, Array, TensorType
from qcompile.ir.unit import Affine
from qcompile.numerics import exact

Values = NDArray[Any]


@op
class MaxPool(Node):
    """The greatest value under each window; the border counts as −∞. Keeps the unit."""

    x: Node
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    pads: tuple[int, ...]
    dilation: tuple[int, ...]
    ceil: bool = False

    @property
    def window(self) -> Window:
        """The kernel's geometry."""
        return Window(self.kernel, self.stride, self.pads, self.dilation)

    def infer(self) -> TensorType:
        x = self.x.type
        self.require(x.unit is None or x.unit.per_tensor, "wants one scale")
        spatial = self.window.out(x.shape[2:], ceil=self.ceil)
        return TensorType((*x.shape[:2], *spatial), x.elem, x.unit)

    def evaluate(self, *operands: Array) -> Array:
        x: Values = operands[0]
        out = static(self.window.out(x.shape[2:], ceil=self.ceil))
        least = -np.inf if x.dtype.kind not in "iu" else np.iinfo(x.dtype).min
        padded = self.window.padded(x, least, out)
        result = np.full((*x.shape[:2], *out), least, x.dtype)
        for _, view in self.window.taps(padded, out):
            np.maximum(result, view, out=result)
        return result


@op
class AveragePool(Node):
    """The mean under each window.

    With `count_border` padded places count as zeros, otherwise the divisor is the number of real
    places. On integers no division happens: each sum is multiplied by L / divisor, where L is the
    least common multiple of all divisors, and the unit is scale / L, in i32.
    """

    x: Node
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    pads: tuple[int, ...]
    dilation: tuple[int, ...]
    ceil: bool = False
    count_border: bool = False

    @property
    def window(self) -> Window:
        """The kernel's geometry."""
        return Window(self.kernel, self.stride, self.pads, self.dilation)

    def infer(self) -> TensorType:
        x = self.x.type
        spatial = self.window.out(x.shape[2:], ceil=self.ceil)
        shape = (*x.shape[:2], *spatial)
        if x.unit is None:
            return TensorType(shape, x.elem)
        self.require(x.unit.per_tensor, "wants one scale")
        parts = self.common_multiple(static(x.shape[2:]))
        self.require(
            parts * 256 <= exact.INT32_MAX, f"divisors' common multiple {parts} is too large"
        )
        return TensorType(shape, I32, Affine((x.unit.scale[0] / parts,)))

    def divisors(self, spatial: tuple[int, ...]) -> NDArray[np.int64]:
        """How many places each window averages over, [*out]."""
        n = len(spatial)
        out = static(self.window.out(spatial, ceil=self.ceil))
        border = self.pads if self.count_border else (0,) * (2 * n)
        result = np.ones(out, np.int64)
        for i, length in enumerate(spatial):
            starts = np.arange(out[i])[:, None] * self.stride[i] - self.pads[i]
            places = starts + np.arange(self.kernel[i])[None] * self.dilation[i]
            real = (places >= -border[i]) & (places < length + border[n + i])
            count = real.sum(1).reshape(tuple(-1 if j == i else 1 for j in range(n)))
            result = result * count
        return np.maximum(result, 1)

    def common_multiple(self, spatial: tuple[int, ...]) -> int:
        """L, the least common multiple of all divisors."""
        return lcm(*(int(d) for d in np.unique(self.divisors(spatial))))

    def factors(self, spatial: tuple[int, ...]) -> NDArray[np.int32]:
        """L / divisor for each window, [*out]."""
        return (self.common_multiple(spatial) // self.divisors(spatial)).astype(np.int32)

    def evaluate(self, *operands: Array) -> Array:
        x: Values = operands[0]
        spatial = x.shape[2:]
        out = static(self.window.out(spatial, ceil=self.ceil))
        if self.x.type.unit is None:
            return (self._sums(x, out) / self.divisors(spatial)).astype(x.dtype)
        total = self._sums(centred(x, self.x.type).astype(np.int64), out)
        return exact.as_int32(total * self.factors(spatial), where=str(self))

    def _sums(self, x: Values, out: tuple[int, ...]) -> Values:
        padded = self.window.padded(x, 0, out)
        result = np.zeros((*x.shape[:2], *out), x.dtype)
        for _, view in self.window.taps(padded, out):
            result += view
        return result
