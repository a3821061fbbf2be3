"""Reductions over axes, softmax, argmax."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.ir.dims import Dim, Shape
from qcompile.ir.node import Node, op
from qcompile.ir.ops.linear import centred
from qcompile.ir.types import I32, I64, Array, TensorType
from qcompile.ir.unit import Affine
from qcompile.numerics import exact

Values = NDArray[Any]


@op
class Reduction(Node):
    """f over `axes` (counted from 0, ascending), which stay as length 1 or vanish."""

    x: Node
    axes: tuple[int, ...]
    keepdims: bool = True

    def infer(self) -> TensorType:
        self.require(self.x.type.unit is None, "is not defined on quantized values")
        return TensorType(self.reduced(), self.x.type.elem)

    def reduced(self) -> Shape:
        """The result's shape."""
        shape = self.x.type.shape
        bad = [a for a in self.axes if not 0 <= a < len(shape)]
        self.require(not bad, f"axes {bad} of a tensor of rank {len(shape)}")
        kept: list[Dim] = []
        for axis, length in enumerate(shape):
            if axis not in self.axes:
                kept.append(length)
            elif self.keepdims:
                kept.append(1)
        return tuple(kept)

    def evaluate(self, *operands: Array) -> Array:
        x: Values = operands[0]
        with np.errstate(all="ignore"):
            return np.asarray(self.apply(x)).astype(self.type.elem.storage, copy=False)

    def apply(self, x: Values) -> Values:
        """f, on an array."""
        raise NotImplementedError


@op
class Summation(Reduction):
    """Sums: on integers Σ (q − zero_point) in i32."""

    def infer(self) -> TensorType:
        shape, x = self.reduced(), self.x.type
        if x.unit is None:
            return TensorType(shape, x.elem)
        self.require(x.unit.per_tensor, "wants one scale")
        return TensorType(shape, I32, Affine((x.unit.scale[0] / self.parts(),)))

    def parts(self) -> int:
        """What the sum's unit is divided by."""
        return 1

    def apply(self, x: Values) -> Values:
        if self.x.type.unit is None:
            return self.real(x)
        total = centred(x, self.x.type).sum(self.axes, np.int64, keepdims=self.keepdims)
        return exact.as_int32(total, where=str(self))

    def real(self, x: Values) -> Values:
        """The function on reals."""
        raise NotImplementedError


@op
class ReduceSum(Summation):
    """Σ x."""

    def real(self, x: Values) -> Values:
        return x.sum(self.axes, keepdims=self.keepdims)


@op
class ReduceMean(Summation):
    """Mean; on integers the sum, whose unit is scale / count."""

    def parts(self) -> int:
        lengths = [self.x.type.shape[a] for a in self.axes]
        self.require(all(isinstance(d, int) for d in lengths), "wants known lengths")
        return prod(d for d in lengths if isinstance(d, int))

    def real(self, x: Values) -> Values:
        return x.mean(self.axes, keepdims=self.keepdims)


@op
class Extremum(Reduction):
    """Keeps the unit: order is the same on integers."""

    def infer(self) -> TensorType:
        x = self.x.type
        self.require(x.unit is None or x.unit.per_tensor, "wants one scale")
        return TensorType(self.reduced(), x.elem, x.unit)


@op
class ReduceMax(Extremum):
    """max x."""

    def apply(self, x: Values) -> Values:
        return x.max(self.axes, keepdims=self.keepdims)


@op
class ReduceMin(Extremum):
    """min x."""

    def apply(self, x: Values) -> Values:
        return x.min(self.axes, keepdims=self.keepdims)


@op
class ReduceProd(Reduction):
    """Π x."""

    def apply(self, x: Values) -> Values:
        return x.prod(self.axes, keepdims=self.keepdims)


@op
class ReduceL2(Reduction):
    """√Σ x²."""

    def apply(self, x: Values) -> Values:
        return np.sqrt(np.square(x).sum(self.axes, keepdims=self.keepdims))


@op
class ReduceLogSumExp(Reduction):
    """log Σ e^x."""

    def apply(self, x: Values) -> Values:
        peak = x.max(self.axes, keepdims=True)
        total = np.log(np.exp(x - peak).sum(self.axes, keepdims=True)) + peak
        return total if self.keepdims else np.squeeze(total, self.axes)


@op
class Arg(Node):
    """An index along one axis: of the first (or last) extreme value."""

    x: Node
    axis: int
    keepdims: bool = True
    last: bool = False

    def infer(self) -> TensorType:
        x = self.x.type
        self.require(0 <= self.axis < x.rank, f"axis {self.axis} of a tensor of rank {x.rank}")
        self.require(x.unit is None or x.unit.per_tensor, "wants one scale")
        one: Shape = (1,) if self.keepdims else ()
        return TensorType((*x.shape[: self.axis], *one, *x.shape[self.axis + 1 :]), I64)

    def evaluate(self, *operands: Array) -> Array:
        x: Values = operands[0]
        if not self.last:
            return self.find(x).astype(np.int64)
        found = self.find(np.flip(x, self.axis))
        return (x.shape[self.axis] - 1 - found).astype(np.int64)

    def find(self, x: Values) -> Values:
        """The first index of the extreme value."""
        raise NotImplementedError


@op
class ArgMax(Arg):
    """Where the greatest value is."""

    def find(self, x: Values) -> Values:
        return np.asarray(np.argmax(x, self.axis, keepdims=self.keepdims))


@op
class ArgMin(Arg):
    """Where the least value is."""

    def find(self, x: Values) -> Values:
        return np.asarray(np.argmin(x, self.axis, keepdims=self.keepdims))


@op
class AlongAxis(Node):
    """A function of all values along one axis, of x's type; reals only."""

    x: Node
    axis: int

    def infer(self) -> TensorType:
        x = self.x.type
        self.require(0 <= self.axis < x.rank, f"axis {self.axis} of a tensor of rank {x.rank}")
        self.require(x.is_float, "is defined on reals")
        return x


@op
class Softmax(AlongAxis):
    """e^x / Σ e^x along one axis, the maximum subtracted first."""

    def evaluate(self, *operands: Array) -> Array:
        x: Values = operands[0]
        powers = np.exp(x - x.max(self.axis, keepdims=True))
        return (powers / powers.sum(self.axis, keepdims=True)).astype(x.dtype, copy=False)


@op
class LogSoftmax(AlongAxis):
    """x − log Σ e^x along one axis."""

    def evaluate(self, *operands: Array) -> Array:
        x: Values = operands[0]
        below = x - x.max(self.axis, keepdims=True)
        return (below - np.log(np.exp(below).sum(self.axis, keepdims=True))).astype(x.dtype)
