"""From a range to a unit: scale and zero point."""

from __future__ import annotations

import math

import numpy as np

from qcompile.calibrate.estimators import Range
from qcompile.errors import CalibrationError
from qcompile.ir.ops.quant import Spec
from qcompile.ir.types import Scalar
from qcompile.ir.unit import Affine, per_tensor

SMALLEST_SCALE = 2.0**-100


def activation_format(bounds: Range, spec: Spec) -> tuple[Scalar, Affine]:
    """Element format and unit of an edge with this range.

    Affine: scale = (hi − lo)/(2^b − 1), zero point = round(−lo/scale), 0 when nothing is negative.
    Symmetric: zero point 0, unsigned when nothing is negative. The range is widened to hold zero,
    so real zero is exact; the scale is a float32 number; a range of nothing but zero gets 1.
    """
    lo, hi = min(float(bounds[0]), 0.0), max(float(bounds[1]), 0.0)
    if not (math.isfinite(lo) and math.isfinite(hi)):
        raise CalibrationError(f"the range {lo:g}…{hi:g} is not finite: check model and samples")
    bits = spec.elem.bits
    if lo == hi:
        lo, hi = 0.0, 1.0
    if lo == 0:
        elem = Scalar(f"u{bits}") if spec.symmetric else spec.elem
        return elem, per_tensor(_float32(hi / (elem.hi - elem.lo)), elem.lo)
    if spec.symmetric:
        elem = Scalar(f"i{bits}")
        return elem, per_tensor(_float32(max(-lo, hi) / elem.hi))
    elem = spec.elem
    scale = _float32((hi - lo) / (elem.hi - elem.lo))
    zero = elem.lo + round(-lo / scale)
    return elem, per_tensor(scale, min(max(zero, elem.lo), elem.hi))


def _float32(scale: float) -> float:
    return max(float(np.float32(scale)), SMALLEST_SCALE)
