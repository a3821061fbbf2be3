"""Element by element: unary functions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from qcompile.ir.node import Node, op
from qcompile.ir.types import Array, Scalar, TensorType

Values = NDArray[Any]


@op
class Unary(Node):
    """y = f(x), of x's type; numbers only, not integers that stand for reals."""

    x: Node

    def infer(self) -> TensorType:
        self.require(self.x.type.unit is None, "is defined on reals: use lut on quantized values")
        return self.x.type

    def evaluate(self, *operands: Array) -> Array:
        x = operands[0]
        with np.errstate(all="ignore"):
            return np.asarray(self.apply(x)).astype(x.dtype, copy=False)

    def apply(self, x: Values) -> Values:
        """f, on an array."""
        raise NotImplementedError


@op
class Relu(Unary):
    """max(x, 0); on integers max(q, zero_point), unit kept."""

    def infer(self) -> TensorType:
        unit = self.x.type.unit
        self.require(unit is None or len(unit.zero_point) == 1, "wants one zero point")
        return self.x.type

    def apply(self, x: Values) -> Values:
        unit = self.x.type.unit
        return np.maximum(x, x.dtype.type(0 if unit is None else unit.zero_point[0]))


@op
class Clip(Unary):
    """min(max(x, lo), hi)."""

    lo: float = float("-inf")
    hi: float = float("inf")

    def apply(self, x: Values) -> Values:
        if x.dtype.kind in "iu":
            info = np.iinfo(x.dtype)
            return np.clip(x, int(max(self.lo, info.min)), int(min(self.hi, info.max)))
        return np.minimum(np.maximum(x, x.dtype.type(self.lo)), x.dtype.type(self.hi))


@op
class LeakyRelu(Unary):
    """x if x ≥ 0 else alpha · x."""

    alpha: float = 0.01

    def apply(self, x: Values) -> Values:
        return np.where(x >= 0, x, x * x.dtype.type(self.alpha))


@op
class Elu(Unary):
    """x if x ≥ 0 else alpha · (e^x − 1)."""

    alpha: float = 1.0

    def apply(self, x: Values) -> Values:
        return np.where(x >= 0, x, self.alpha * np.expm1(np.minimum(x, 0)))


@op
class Celu(Unary):
    """max(0, x) + min(0, alpha · (e^(x/alpha) − 1))."""

    alpha: float = 1.0

    def apply(self, x: Values) -> Values:
        return np.maximum(x, 0) + self.alpha * np.expm1(np.minimum(x, 0) / self.alpha)


@op
class Selu(Unary):
    """gamma · (x if x > 0 else alpha · (e^x − 1))."""

    alpha: float = 1.6732632423543772
    gamma: float = 1.0507009873554805

    def apply(self, x: Values) -> Values:
        return self.gamma * np.where(x > 0, x, self.alpha * np.expm1(np.minimum(x, 0)))


@op
class ThresholdedRelu(Unary):
    """x if x > alpha else 0."""

    alpha: float = 1.0

    def apply(self, x: Values) -> Values:
        return np.where(x > self.alpha, x, x.dtype.type(0))


@op
class Shrink(Unary):
    """x + bias below −lambd, x − bias above lambd, else 0."""

    bias: float = 0.0
    lambd: float = 0.5

    def apply(self, x: Values) -> Values:
        return np.where(x < -self.lambd, x + self.bias, np.where(x > self.lambd, x - self.bias, 0))


@op
class HardSigmoid(Unary):
    """clip(alpha · x + beta, 0, 1)."""

    alpha: float = 0.2
    beta: float = 0.5

    def apply(self, x: Values) -> Values:
        return np.clip(x * x.dtype.type(self.alpha) + x.dtype.type(self.beta), 0, 1)


@op
class HardSwish(Unary):
    """x · clip(x/6 + 1/2, 0, 1)."""

    def apply(self, x: Values) -> Values:
        return x * np.clip(x / x.dtype.type(6) + x.dtype.type(0.5), 0, 1)


@op
class Sigmoid(Unary):
    """1 / (1 + e^−x)."""

    def apply(self, x: Values) -> Values:
        return special.expit(x)


@op
class Silu(Unary):
    """x · sigmoid(x), also called swish."""

    def apply(self, x: Values) -> Values:
        return x * special.expit(x)


@op
class Tanh(Unary):
    """Hyperbolic tangent."""

    def apply(self, x: Values) -> Values:
        return np.tanh(x)


@op
class Gelu(Unary):
    """x · Φ(x), exactly by erf."""

    def apply(self, x: Values) -> Values:
        return x * 0.5 * (1 + special.erf(x / np.sqrt(x.dtype.type(2))))


@op
class GeluTanh(Unary):
    """x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³)))."""

    def apply(self, x: Values) -> Values:
        return 0.5 * x * (1 + np.tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)))


@op
class Softplus(Unary):
    """log(1 + e^x)."""

    def apply(self, x: Values) -> Values:
        return np.logaddexp(x, x.dtype.type(0))


@op
class Softsign(Unary):
    """x / (1 + |x|)."""

    def apply(self, x: Values) -> Values:
        return x / (1 + np.abs(x))


@op
class Mish(Unary):
    """x · tanh(log(1 + e^x))."""

    def apply(self, x: Values) -> Values:
        return x * np.tanh(np.logaddexp(x, x.dtype.type(0)))


@op
class Erf(Unary):
    """The error function."""

    def apply(self, x: Values) -> Values:
        return special.erf(x)


@op
class Exp(Unary):
    """e^x."""

    def apply(self, x: Values) -> Values:
        return np.exp(x)


@op
class Log(Unary):
    """Natural logarithm."""

    def apply(self, x: Values) -> Values:
        return np.log(x)


@op
class Sqrt(Unary):
    """Square root."""

    def apply(self, x: Values) -> Values:
        return np.sqrt(x)


@op
class Reciprocal(Unary):
    """1 / x."""

    def apply(self, x: Values) -> Values:
        return np.reciprocal(x)


@op
class Abs(Unary):
    """|x|."""

    def apply(self, x: Values) -> Values:
        return np.abs(x)


@op
class Neg(Unary):
    """−x."""

    def apply(self, x: Values) -> Values:
        return np.negative(x)


@op
class Sign(Unary):
    """−1, 0 or 1."""

    def apply(self, x: Values) -> Values:
        return np.sign(x)


@op
class Floor(Unary):
    """Greatest integer ≤ x."""

    def apply(self, x: Values) -> Values:
        return np.floor(x)


@op
class Ceil(Unary):
    """Least integer ≥ x."""

    def apply(self, x: Values) -> Values:
        return np.ceil(x)


@op
class Round(Unary):
    """Nearest integer, ties to even."""

    def apply(self, x: Values) -> Values:
        return np.rint(x)


@op
class Sin(Unary):
    """Sine."""

    def apply(self, x: Values) -> Values:
        return np.sin(x)


@op
class Cos(Unary):
    """Cosine."""

    def apply(self, x: Values) -> Values:
        return np.cos(x)


@op
class Not(Unary):
    """Logical not."""

    def apply(self, x: Values) -> Values:
        return np.logical_not(x)


@op
class Cast(Node):
    """The same numbers in another element format; floats to integers truncate toward zero."""

    x: Node
    to: Scalar

    def infer(self) -> TensorType:
        self.require(self.x.type.unit is None, "cannot cast integers that stand for reals")
        return TensorType(self.x.type.shape, self.to)

    def evaluate(self, *operands: Array) -> Array:
        with np.errstate(all="ignore"):
            return operands[0].astype(self.to.storage)
