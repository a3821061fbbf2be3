"""Element by element: functions of two or three values, with broadcasting."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.ir.dims import broadcast
from qcompile.ir.node import Node, op
from qcompile.ir.types import BOOL, I32, Array, TensorType
from qcompile.ir.unit import Affine

Values = NDArray[Any]


@op
class Binary(Node):
    """f(a, b), of one element type; numbers only unless the operation says otherwise."""

    a: Node
    b: Node

    def infer(self) -> TensorType:
        a, b = self.a.type, self.b.type
        self.require(a.elem == b.elem, f"wants one element type, got {a.elem} and {b.elem}")
        self.require(a.unit is None and b.unit is None, "is not defined on quantized values")
        return TensorType(broadcast(a.shape, b.shape), a.elem)

    def evaluate(self, *operands: Array) -> Array:
        a, b = operands
        with np.errstate(all="ignore"):
            return np.asarray(self.apply(a, b)).astype(self.type.elem.storage, copy=False)

    def apply(self, a: Values, b: Values) -> Values:
        """f, on arrays."""
        raise NotImplementedError


@op
class Additive(Binary):
    """a ± b; on integers both must have one unit with zero point 0."""

    def infer(self) -> TensorType:
        a, b = self.a.type, self.b.type
        self.require(a.elem == b.elem, f"wants one element type, got {a.elem} and {b.elem}")
        self.require(a.unit == b.unit, f"adds {a.unit} to {b.unit}: rescale one first")
        self.require(a.unit is None or a.unit.symmetric, f"wants zero point 0, got {a.unit}")
        shape = broadcast(a.shape, b.shape)
        same = a.unit is None or a.unit.per_tensor or a.shape == b.shape == shape
        self.require(same, "broadcasts a per-channel unit")
        return TensorType(shape, a.elem, a.unit)


@op
class Add(Additive):
    """a + b."""

    def apply(self, a: Values, b: Values) -> Values:
        return a + b


@op
class Sub(Additive):
    """a − b."""

    def apply(self, a: Values, b: Values) -> Values:
        return a - b


@op
class Mul(Binary):
    """a · b; on integers (a − za)·(b − zb) in i32, whose unit is the product of the units."""

    def infer(self) -> TensorType:
        a, b = self.a.type, self.b.type
        shape = broadcast(a.shape, b.shape)
        if a.unit is None and b.unit is None:
            self.require(a.elem == b.elem, f"wants one element type, got {a.elem} and {b.elem}")
            return TensorType(shape, a.elem)
        if a.unit is None or b.unit is None:
            self.require(False, "multiplies a quantized by an unquantized value")
            raise AssertionError
        self.require(a.unit.per_tensor and b.unit.per_tensor, "wants per-tensor units")
        return TensorType(shape, I32, Affine((a.unit.scale[0] * b.unit.scale[0],)))

    def apply(self, a: Values, b: Values) -> Values:
        left, right = self.a.type.unit, self.b.type.unit
        if left is None or right is None:
            return a * b
        return (a.astype(np.int32) - np.int32(left.zero_point[0])) * (
            b.astype(np.int32) - np.int32(right.zero_point[0])
        )


@op
class Div(Binary):
    """a / b; on integers the quotient truncated toward zero."""

    def apply(self, a: Values, b: Values) -> Values:
        if a.dtype.kind not in "iu":
            return a / b
        safe = np.where(b == 0, 1, b)
        quotient = np.abs(a) // np.abs(safe) if a.dtype.kind == "i" else a // safe
        return np.sign(a) * np.sign(safe) * quotient if a.dtype.kind == "i" else quotient


@op
class Pow(Binary):
    """a to the power b; the exponent may have another element type."""

    def infer(self) -> TensorType:
        a, b = self.a.type, self.b.type
        self.require(a.unit is None and b.unit is None, "is not defined on quantized values")
        return TensorType(broadcast(a.shape, b.shape), a.elem)

    def apply(self, a: Values, b: Values) -> Values:
        return np.power(a, b)


@op
class Extreme(Binary):
    """The lesser or the greater; on integers both must have one unit, of one scale."""

    def infer(self) -> TensorType:
        a, b = self.a.type, self.b.type
        self.require(a.elem == b.elem, f"wants one element type, got {a.elem} and {b.elem}")
        self.require(a.unit == b.unit, f"compares {a.unit} with {b.unit}: rescale one first")
        self.require(a.unit is None or a.unit.per_tensor, f"wants one scale, got {a.unit}")
        return TensorType(broadcast(a.shape, b.shape), a.elem, a.unit)


@op
class Minimum(Extreme):
    """min(a, b)."""

    def apply(self, a: Values, b: Values) -> Values:
        return np.minimum(a, b)


@op
class Maximum(Extreme):
    """max(a, b)."""

    def apply(self, a: Values, b: Values) -> Values:
        return np.maximum(a, b)


@op
class Mod(Binary):
    """Remainder with the divisor's sign; for floats with the dividend's."""

    def apply(self, a: Values, b: Values) -> Values:
        return np.mod(a, b) if a.dtype.kind in "iu" else np.fmod(a, b)


@op
class And(Binary):
    """Logical and."""

    def apply(self, a: Values, b: Values) -> Values:
        return np.logical_and(a, b)


@op
class Or(Binary):
    """Logical or."""

    def apply(self, a: Values, b: Values) -> Values:
        return np.logical_or(a, b)


@op
class Xor(Binary):
    """Logical exclusive or."""

    def apply(self, a: Values, b: Values) -> Values:
        return np.logical_xor(a, b)


@op
class Comparison(Binary):
    """A truth value for each pair."""

    def infer(self) -> TensorType:
        a, b = self.a.type, self.b.type
        self.require(a.elem == b.elem, f"wants one element type, got {a.elem} and {b.elem}")
        self.require(a.unit == b.unit, f"compares {a.unit} to {b.unit}: rescale one first")
        return TensorType(broadcast(a.shape, b.shape), BOOL)


@op
class Equal(Comparison):
    """a = b."""

    def apply(self, a: Values, b: Values) -> Values:
        return np.equal(a, b)


@op
class Less(Comparison):
    """a < b."""

    def apply(self, a: Values, b: Values) -> Values:
        return np.less(a, b)


@op
class LessOrEqual(Comparison):
    """a ≤ b."""

    def apply(self, a: Values, b: Values) -> Values:
        return np.less_equal(a, b)


@op
class Greater(Comparison):
    """a > b."""

    def apply(self, a: Values, b: Values) -> Values:
        return np.greater(a, b)


@op
class GreaterOrEqual(Comparison):
    """a ≥ b."""

    def apply(self, a: Values, b: Values) -> Values:
        return np.greater_equal(a, b)


@op
class Prelu(Node):
    """x if x ≥ 0 else slope · x; slope broadcasts to x."""

    x: Node
    slope: Node

    def infer(self) -> TensorType:
        self.require(self.x.type.unit is None, "is not defined on quantized values")
        shape = broadcast(self.x.type.shape, self.slope.type.shape)
        self.require(shape == self.x.type.shape, "slope does not broadcast to the input")
        return self.x.type

    def evaluate(self, *operands: Array) -> Array:
        x: Values = operands[0]
        slope: Values = operands[1]
        return np.where(x >= 0, x, x * slope).astype(x.dtype, copy=False)


@op
class Where(Node):
    """a where the condition holds, else b."""

    condition: Node
    a: Node
    b: Node

    def infer(self) -> TensorType:
        a, b = self.a.type, self.b.type
        self.require(self.condition.type.elem == BOOL, "condition must be bool")
        self.require(a.elem == b.elem, f"wants one element type, got {a.elem} and {b.elem}")
        self.require(a.unit == b.unit, f"chooses between {a.unit} and {b.unit}: rescale one first")
        return TensorType(broadcast(self.condition.type.shape, a.shape, b.shape), a.elem, a.unit)

    def evaluate(self, *operands: Array) -> Array:
        return np.where(*operands)
