"""From a weight to its unit: one scale per output channel, clipped where that costs least."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.errors import CalibrationError
from qcompile.ir.ops.quant import Spec
from qcompile.ir.ops.source import Const
from qcompile.ir.types import Scalar
from qcompile.ir.unit import Affine
from qcompile.passes.group_units import channel_scales, group_steps

BIAS_ROOM = float(1 << 30)
CLIPS = 48  # scales tried, down to two fifths of the one that clips nothing
SMALLEST = 0.4

Values = NDArray[Any]


def weight_unit(
    w: Const,
    spec: Spec,
    bias: Const | None,
    x: Affine | None,
    *,
    threads: int = 1,
    energy: Values | None = None,
) -> Affine:
    """scale[c] = max |w[c]| / (2^(b−1) − 1), raised where the bias would not fit 31 bits.

    By the method `mse` it may be smaller, if what is clipped costs less than what is rounded. A
    channel of nothing but zeros takes the greatest scale of the others. In groups of `spec.group`
    it is the scale of a step of 1, and each group has its own step. `energy`: for each weight of a
    row the mean square of what it is multiplied with, where that is known.
    """
    values: Values = np.asarray(w.array)
    axes = tuple(a for a in range(values.ndim) if a != spec.axis)
    peak = np.maximum(values.max(axes), -values.min(axes)).astype(np.float64)
    if not np.isfinite(peak).all():
        raise CalibrationError(
            f"weight {w.name!r} holds NaN or infinity: export the model again from sound weights"
        )
    scale = np.atleast_1d(peak / spec.elem.hi)
    rows = np.moveaxis(values, spec.axis or 0, 0).reshape(scale.size, -1)
    if spec.group is not None:
        scale = channel_scales(rows, spec.elem, spec.group, threads=threads, energy=energy)
    elif spec.method == "mse":
        scale = least_error(rows.astype(np.float64), scale, spec.elem, energy=energy)
    if bias is not None and x is not None and scale.size in (1, bias.array.size):
        needed = np.abs(bias.array.astype(np.float64)) / (x.scale[0] * BIAS_ROOM)
        scale = np.maximum(scale, needed if scale.size > 1 else needed.max())
    greatest = float(scale.max())
    if greatest > np.finfo(np.float32).max:
        raise CalibrationError(f"the bias behind weight {w.name!r} is too great for its sum")
    scale = np.where(scale > 0, scale, greatest if greatest > 0 else 1.0)
    scale = np.maximum(scale.astype(np.float32).astype(np.float64), greatest * 2.0**-24)
    scale = scale.astype(np.float32).astype(np.float64)
    plain = Affine(tuple(float(s) for s in scale), axis=spec.axis)
    if spec.group is None:
        return plain
    steps = group_steps(rows, scale, spec.elem, spec.group, threads=threads, energy=energy)
    return replace(plain, group=spec.group, steps=steps)


def least_error(
    rows: Values, widest: Values, elem: Scalar, *, energy: Values | None = None
) -> Values:
    """Per row, of `CLIPS` scales from `widest` down, the one of least cost.

    With e = w − quantized the cost is Σ e² + n · (Σ w·e)² / Σ w². The second term is the part of
    the error that makes the whole row smaller, as clipping does: where the n products of a sum
    agree in sign it reaches the result whole, while the rest averages out, and the layers behind
    multiply it up. Least Σ e² alone shrinks each layer by a percent and loses 10 dB in twenty.

    All integers of the format are used, the least negative one, too: it costs nothing in two's
    complement, and one more level holds a row whose greatest weight is negative.

    All sums weigh with `energy`, which is 1 where it is not known: then Σ e² is what rounding does
    to the output, as far as inputs are not correlated. AWQ (arXiv 2306.00978), section 3.2.
    """
    felt = 1.0 if energy is None else energy / max(float(energy.mean()), np.finfo(np.float64).tiny)
    best, least = widest.copy(), np.full(widest.shape, np.inf)
    power = np.maximum((felt * np.square(rows)).sum(1), np.finfo(np.float64).tiny)
    for factor in np.linspace(1.0, SMALLEST, CLIPS):
        scale = np.maximum(widest * factor, np.finfo(np.float32).tiny)
        error = rows - scale[:, None] * np.clip(np.rint(rows / scale[:, None]), elem.lo, elem.hi)
        common = np.square((felt * rows * error).sum(1)) / power
        cost = (felt * np.square(error)).sum(1) + rows.shape[1] * common
        better = cost < least
        best, least = np.where(better, scale, best), np.minimum(cost, least)
    return np.where(widest > 0, best, 0.0)
