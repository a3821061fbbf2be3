"""Normalizations, on reals."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.ir.node import Node, op
from qcompile.ir.types import Array, TensorType

Values = NDArray[Any]


@op
class BatchNorm(Node):
    """gamma · (x − mean) / √(var + eps) + beta per channel (axis 1), with frozen statistics."""

    x: Node
    gamma: Node
    beta: Node
    mean: Node
    var: Node
    eps: float = 1e-5

    def infer(self) -> TensorType:
        x = self.x.type
        self.require(x.is_float and x.rank >= 2, "wants reals of rank 2 or more")
        self.require(self.eps >= 0, "wants eps of 0 or more")
        for parameter in self.operands[1:]:
            shape = parameter.type.shape
            self.require(
                shape == (x.shape[1],) or not isinstance(x.shape[1], int),
                f"parameter is {parameter.type}, wants [{x.shape[1]}]",
            )
        return x

    def evaluate(self, *operands: Array) -> Array:
        x: Values = operands[0]
        spread = (1, -1, *(1,) * (x.ndim - 2))
        gamma, beta, mean, var = (np.asarray(o).reshape(spread) for o in operands[1:])
        scale = gamma / np.sqrt(var + x.dtype.type(self.eps))
        return ((x - mean) * scale + beta).astype(x.dtype, copy=False)


@op
class InstanceNorm(Node):
    """gamma · (x − mean) / √(var + eps) + beta, statistics per sample and channel."""

    x: Node
    gamma: Node
    beta: Node
    eps: float = 1e-5

    def infer(self) -> TensorType:
        self.require(self.x.type.is_float and self.x.type.rank >= 3, "wants reals of rank ≥ 3")
        return self.x.type

    def evaluate(self, *operands: Array) -> Array:
        x: Values = operands[0]
        axes = tuple(range(2, x.ndim))
        spread = (1, -1, *(1,) * len(axes))
        gamma, beta = (np.asarray(o).reshape(spread) for o in operands[1:])
        centred = x - x.mean(axes, keepdims=True)
        scale = gamma / np.sqrt(np.square(centred).mean(axes, keepdims=True) + self.eps)
        return (centred * scale + beta).astype(x.dtype, copy=False)


@op
class LayerNorm(Node):
    """gamma · (x − mean) / √(var + eps) + beta, statistics over the axes from `axis` on."""

    x: Node
    gamma: Node
    beta: Node | None = None
    axis: int = -1
    eps: float = 1e-5

    def infer(self) -> TensorType:
        self.require(self.x.type.is_float, "wants reals")
        self.require(0 <= self.axis < self.x.type.rank, f"axis {self.axis} is not an axis")
        return self.x.type

    def evaluate(self, *operands: Array) -> Array:
        x: Values = operands[0]
        axes = tuple(range(self.axis, x.ndim))
        centred = x - x.mean(axes, keepdims=True)
        root = np.sqrt(np.square(centred).mean(axes, keepdims=True) + x.dtype.type(self.eps))
        result = centred / root * operands[1]
        return (result + operands[2] if self.beta is not None else result).astype(x.dtype)


@op
class LocalResponseNorm(Node):
    """x / (bias + alpha/size · Σ x²)^beta, the sum over `size` neighbouring channels."""

    x: Node
    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    bias: float = 1.0

    def infer(self) -> TensorType:
        self.require(self.x.type.is_float and self.x.type.rank >= 2, "wants reals of rank ≥ 2")
        return self.x.type

    def evaluate(self, *operands: Array) -> Array:
        x: Values = operands[0]
        before = (self.size - 1) // 2
        widths = [(0, 0), (before, self.size - 1 - before)] + [(0, 0)] * (x.ndim - 2)
        squares = np.pad(np.square(x), widths)
        total = sum(squares[:, i : i + x.shape[1]] for i in range(self.size))
        return (x / np.power(self.bias + self.alpha / self.size * total, self.beta)).astype(x.dtype)
