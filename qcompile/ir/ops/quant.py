"""The three markers of quantization on an edge, and the borders of the integer program.

Observe (identity, asks for a range) → FakeQuant or FakeQuantDynamic (snaps to the grid, still
float) → Quantize, Requantize and Dequantize (integers). Each runs, so each stage can be compared
with the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.ir.node import Node, op
from qcompile.ir.types import F32, U8, Array, Scalar, TensorType
from qcompile.ir.unit import Affine, per_tensor

PIECE = 1 << 17
LEAST_PEAK = 2.0**-100  # of a vector that is scaled at run time: no quotient overflows
ONE = per_tensor(1.0)


@dataclass(frozen=True, slots=True)
class Spec:
    """How an edge shall be quantized.

    `symmetric`: zero point 0, and unsigned elements when no value is negative. `axis`: one scale
    per index of that axis. `method`: the range estimator's name (minmax, percentile, mse, entropy).
    `group`: so many consecutive weights of a channel share a step.
    `along`: each vector along that axis gets its scale at run time, so nothing is calibrated.
    """

    elem: Scalar = U8
    symmetric: bool = False
    axis: int | None = None
    method: str = "minmax"
    group: int | None = None
    along: int | None = None


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
class FakeQuantDynamic(Node):
    """s · clip(round_half_even(x / s)) in float, s = max(|x|, 2^-100) / hi for each vector.

    The vectors lie along `axis`; |x| is its greatest magnitude there, hi the greatest integer of
    the signed format, and every operation one of IEEE float32. The zero point is 0, and the least
    integer is never used. A vector of zeros stays zeros; the law is for finite values.
    """

    x: Node
    elem: Scalar
    axis: int

    def infer(self) -> TensorType:
        x = self.x.type
        self.require(x.elem == F32, "quantizes float32 only")
        self.require(self.elem.is_integer and self.elem.signed, f"wants signed, not {self.elem}")
        self.require(0 <= self.axis < x.rank, f"axis {self.axis} of a tensor of rank {x.rank}")
        return x

    def evaluate(self, *operands: Array) -> Array:
        (x,) = operands
        scale = dynamic_scale(x, self.elem, self.axis)
        return to_integers(x / scale, self.elem, ONE).astype(np.float32) * scale


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


def dynamic_scale(x: Array, elem: Scalar, axis: int) -> NDArray[np.float32]:
    """max(|x|, 2^-100) / hi, the greatest magnitude of each vector along the axis, kept as 1."""
    peak: NDArray[Any] = np.abs(x).max(axis, keepdims=True, initial=LEAST_PEAK)
    return peak.astype(np.float32) / np.float32(elem.hi)


def expanded(q: Array, unit: Affine) -> NDArray[np.int8]:
    """step · q, exact."""
    return (q.astype(np.int16) * unit.step_of_each(q.shape)).astype(np.int8)


def to_integers(x: Array, elem: Scalar, unit: Affine) -> NDArray[Any]:
    """Nearest integers, ties to even, saturated; NaN becomes the zero point.

    In groups x is divided by float32(scale · step).
    """
    result = np.empty(x.shape, elem.storage)
    scales, zeros = unit.scales(x.ndim).astype(np.float32), unit.zero_points(x.ndim)
    if unit.group is not None:
        scales = scales * unit.step_of_each(x.shape).astype(np.float32)
    for part in _pieces(x.shape):
        result[part] = _to_integers(x[part], elem, _cut(scales, part), _cut(zeros, part))
    return result


def to_reals(q: Array, unit: Affine) -> NDArray[Any]:
    """float32(q − zero_point) · float32(scale), in groups float32(step · q) · float32(scale)."""
    if unit.group is not None:
        return to_reals(expanded(q, unit), unit.whole)
    result = np.empty(q.shape, np.float32)
    scales, zeros = unit.scales(q.ndim).astype(np.float32), unit.zero_points(q.ndim)
    for part in _pieces(q.shape):
        steps: NDArray[Any] = q[part].astype(np.int64) - _cut(zeros, part)
        result[part] = steps.astype(np.float32) * _cut(scales, part)
    return result


def _to_integers(x: Array, elem: Scalar, scales: NDArray[Any], zeros: NDArray[Any]) -> NDArray[Any]:
    """In float32 as long as it holds every integer that comes up, wider formats in int64."""
    steps = x.astype(np.float32, copy=False) / scales
    whole = np.rint(steps, out=steps)
    empty = np.isnan(whole)
    if empty.any():
        whole[empty] = 0.0
    if elem.bits > 16:
        bound = float(1 << 25)
        shifted = np.clip(whole, -bound, bound).astype(np.int64) + zeros
        return np.clip(shifted, elem.lo, elem.hi)
    shift = zeros.astype(np.float32)
    np.maximum(whole, np.float32(elem.lo) - shift, out=whole)
    np.minimum(whole, np.float32(elem.hi) - shift, out=whole)
    return np.add(whole, shift, out=whole)


def _pieces(shape: tuple[int, ...]) -> list[tuple[slice, ...]]:
    """Slices of the first axis, small enough that temporary copies do not count."""
    if not shape:
        return [()]
    row = max(int(np.prod(shape[1:], dtype=np.int64)), 1)
    rows = max(PIECE // row, 1)
    return [(slice(start, start + rows),) for start in range(0, shape[0], rows)]


def _cut(spread: NDArray[Any], part: tuple[slice, ...]) -> NDArray[Any]:
    return spread[part] if spread.ndim and spread.shape[0] > 1 else spread
