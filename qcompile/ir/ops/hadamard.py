"""The online Hadamard transform: an exact rotation of blocks of channels, by additions alone."""

from __future__ import annotations

from math import sqrt

import numpy as np

from qcompile.ir.node import Node, op
from qcompile.ir.ops.linear import centred
from qcompile.ir.types import F64, I32, Array, TensorType
from qcompile.ir.unit import Affine
from qcompile.numerics import exact
from qcompile.numerics.hadamard import constructible
from qcompile.numerics.rotations import transformed


@op
class Hadamard(Node):
    """y = x·R along the axis, with R = diag(ε)·(I ⊗ H)/√size.

    H is `numerics.hadamard(size)` for each block of `size` neighbours; ε are `signs` of the seed,
    for all blocks alike. R is orthogonal. On integers the sum of ±(q − zero_point) in i32, whose
    unit is that of x times 1/√size.
    """

    x: Node
    axis: int
    size: int
    seed: int = 0

    def infer(self) -> TensorType:
        x = self.x.type
        self.require(0 <= self.axis < x.rank, f"axis {self.axis} of a tensor of rank {x.rank}")
        length = x.shape[self.axis]
        fits = not isinstance(length, int) or (self.size > 0 and length % self.size == 0)
        self.require(fits, f"{length} channels are no blocks of {self.size}")
        self.require(constructible(self.size), f"no Hadamard matrix of order {self.size} is known")
        self.require(self.seed >= 0, f"seed {self.seed} is negative")
        if x.unit is None:
            self.require(x.is_float, f"wants reals or integers with a unit, got {x}")
            return TensorType(x.shape, x.elem)
        self.require(x.unit.per_tensor, f"wants one scale, got {x.unit}")
        return TensorType(x.shape, I32, Affine((x.unit.scale[0] * (1 / sqrt(self.size)),)))

    def evaluate(self, *operands: Array) -> Array:
        (x,) = operands
        if self.type.unit is not None:
            return exact.as_int32(self._sums(centred(x, self.x.type)), where=str(self))
        carried = x.astype(np.float64 if self.type.elem == F64 else np.float32, copy=False)
        share = carried.dtype.type(1 / sqrt(self.size))
        return (self._sums(carried) * share).astype(self.type.elem.storage, copy=False)

    def _sums(self, x: Array) -> Array:
        return transformed(x, axis=self.axis, size=self.size, seed=self.seed)
