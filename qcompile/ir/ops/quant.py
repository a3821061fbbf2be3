"""The three markers of quantization on an edge, and the borders of the integer program.

Observe (identity, asks for a range) → FakeQuant (snaps to the grid, still float) → Quantize,
Requantize and Dequantize (integers). Each runs, so each stage can be compared with the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.ir.node import Node, op
from qcompile.ir.types import F32, U8, Array, Scalar, TensorType
from qcompile.ir.unit import Affine

PIECE = 1 << 21


@dataclass(frozen=True, slots=True)
class Spec:
    """How an edge shall be quantized.

    `symmetric`: zero point 0, and unsigned elements when no value is negative. `axis`: one scale
    per index of that axis. `method`: the range estimator's name (minmax, percentile, mse, entropy).
    """

    elem: Scalar = U8
    symmetric: bool = False
    axis: int | None = None
    method: str = "minmax"


@op
class Observe(Node):
    """x itself; a place whose range the calibration shall find."""

    x: Node
    spec: Spec

    def infer(self) -> TensorType:
        self.require(self.x.type.is_float, "observes reals only")
        return self.x.type

    def evaluate(self, *operands: Array) -> Array:
        return operands[0]


@op
class FakeQuant(Node):
    """scale · (clip(round_half_even(x / scale) + zero_point) − zero_point), in float."""

    x: Node
    elem: Scalar
    unit: Affine

    def infer(self) -> TensorType:
        self.require(self.x.type.is_float, "quantizes reals only")
        TensorType(self.x.type.shape, self.elem, self.unit)
        return self.x.type

    def evaluate(self, *operands: Array) -> Array:
        return to_reals(to_integers(operands[0], self.elem, self.unit), self.unit)


@op
class Quantize(Node):
    """clip(round_half_even(x / scale) + zero_point), the division in float32."""

    x: Node
    elem: Scalar
    unit: Affine

    def infer(self) -> TensorType:
        self.require(self.x.type.elem == F32, "quantizes float32 only")
        return TensorType(self.x.type.shape, self.elem, self.unit)

    def evaluate(self, *operands: Array) -> Array:
        return to_integers(operands[0], self.elem, self.unit)


@op
class Dequantize(Node):
    """float32(q − zero_point) · float32(scale)."""

    x: Node

    def infer(self) -> TensorType:
        self.require(self.x.type.unit is not None, "wants integers with a unit")
        return TensorType(self.x.type.shape, F32)

    def evaluate(self, *operands: Array) -> Array:
        assert self.x.type.unit is not None
        return to_reals(operands[0], self.x.type.unit)


def to_integers(x: Array, elem: Scalar, unit: Affine) -> NDArray[Any]:
    """Nearest integers, ties to even, saturated; NaN becomes the zero point."""
    result = np.empty(x.shape, elem.storage)
    scales, zeros = unit.scales(x.ndim).astype(np.float32), unit.zero_points(x.ndim)
    for part in _pieces(x.shape):
        result[part] = _to_integers(x[part], elem, _cut(scales, part), _cut(zeros, part))
    return result


def to_reals(q: Array, unit: Affine) -> NDArray[Any]:
    """float32(q − zero_point) · float32(scale)."""
    result = np.empty(q.shape, np.float32)
    scales, zeros = unit.scales(q.ndim).astype(np.float32), unit.zero_points(q.ndim)
    for part in _pieces(q.shape):
        steps: NDArray[Any] = q[part].astype(np.int64) - _cut(zeros, part)
        result[part] = steps.astype(np.float32) * _cut(scales, part)
    return result


def _to_integers(x: Array, elem: Scalar, scales: NDArray[Any], zeros: NDArray[Any]) -> NDArray[Any]:
    steps = x.astype(np.float32, copy=False) / scales
    bound = float(1 << 25)
    whole = np.nan_to_num(np.rint(steps), nan=0.0, posinf=bound, neginf=-bound)
    shifted = np.clip(whole, -bound, bound).astype(np.int64) + zeros
    return np.clip(shifted, elem.lo, elem.hi)


def _pieces(shape: tuple[int, ...]) -> list[tuple[slice, ...]]:
    """Slices of the first axis, small enough that temporary copies do not count."""
    if not shape:
        return [()]
    row = max(int(np.prod(shape[1:], dtype=np.int64)), 1)
    rows = max(PIECE // row, 1)
    return [(slice(start, start + rows),) for start in range(0, shape[0], rows)]


def _cut(spread: NDArray[Any], part: tuple[slice, ...]) -> NDArray[Any]:
    return spread[part] if spread.ndim and spread.shape[0] > 1 else spread
