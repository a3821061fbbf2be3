"""Normalizations, on reals."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.ir.dims import Symbol
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
    """gamma · (x − mean) / √(var + eps) + beta, statistics over the axes from `axis` on.

    A parameter that is absent is 1 or 0; one that is given spreads over the axes from `axis` on.
    """

    x: Node
    gamma: Node | None = None
    beta: Node | None = None
    axis: int = -1
    eps: float = 1e-5

    def infer(self) -> TensorType:
        return _over_rows(self, self.x, self.axis)

    def evaluate(self, *operands: Array) -> Array:
        x: Values = operands[0]
        axes = tuple(range(self.axis, x.ndim))
        centred = x - x.mean(axes, keepdims=True)
        root = np.sqrt(np.square(centred).mean(axes, keepdims=True) + x.dtype.type(self.eps))
        result, given = centred / root, iter(operands[1:])
        result = result if self.gamma is None else result * next(given)
        result = result if self.beta is None else result + next(given)
        return result.astype(x.dtype, copy=False)


@op
class RmsNorm(Node):
    """scale · x / √(mean(x²) + eps), the mean over the axes from `axis` on; no scale is 1.

    Root mean square layer normalization, Zhang and Sennrich 2019, equation 4.
    """

    x: Node
    scale: Node | None = None
    axis: int = -1
    eps: float = 1e-5

    def infer(self) -> TensorType:
        return _over_rows(self, self.x, self.axis)

    def evaluate(self, *operands: Array) -> Array:
        x: Values = operands[0]
        axes = tuple(range(self.axis, x.ndim))
        root = np.sqrt(np.square(x).mean(axes, keepdims=True) + x.dtype.type(self.eps))
        result = x / root
        return (result if self.scale is None else result * operands[1]).astype(x.dtype, copy=False)


def _over_rows(node: Node, x: Node, axis: int) -> TensorType:
    """The type of a norm over the axes from `axis` on, whose parameters spread over its operand."""
    node.require(x.type.is_float, "wants reals")
    node.require(0 <= axis < x.type.rank, f"axis {axis} is not an axis")
    for parameter in node.operands[1:]:
        kind = parameter.type
        node.require(kind.elem == x.type.elem, f"parameter is {kind}, wants {x.type.elem}")
        ends = zip(reversed(kind.shape), reversed(x.type.shape), strict=False)
        spreads = all(d in (1, e) or isinstance(e, Symbol) for d, e in ends)
        fits = kind.rank <= x.type.rank and spreads
        node.require(fits, f"parameter is {kind}, which does not spread over {x.type}")
    return x.type


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
