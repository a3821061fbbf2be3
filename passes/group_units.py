"""Steps of groups of weights: small integers between a channel's scale and its narrow weights.

    w ≈ scale · step · q        ŵ = step · q is what 8-bit kernels multiply

Two levels as in QoQ (Lin et al., arXiv 2405.04532, section 4.1), here symmetric and with steps
that may shrink a group as well as grow it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.ir.types import I8, Scalar

Values = NDArray[Any]
FACTORS = (1.0, 0.95, 0.9, 0.85, 0.8, 1.05, 1.1)  # channel scales tried, of the one that just fits
NEAR = (0, 1, -1, -2, -3)
AT_ONCE = 1 << 21  # weights


def greatest_step(elem: Scalar) -> int:
    """What keeps step · q in 8 bits for every q of the format: 16 for 4 bits."""
    return I8.lo // elem.lo


def channel_scales(rows: Values, elem: Scalar, group: int) -> Values:
    """Per row of weights, the scale of least cost with the best steps; 0 for rows of zeros."""
    return np.concatenate([_channel_scales(part, elem, group) for part in _parts(rows)])


def group_steps(rows: Values, scales: Values, elem: Scalar, group: int) -> bytes:
    """The best step of every group, row-major [rows x groups]; all are tried."""
    every = range(1, greatest_step(elem) + 1)
    parts = zip(_parts(rows), _parts(scales, like=rows), strict=True)
    found = [_best(_in_groups(part, group), scale, elem, every)[0] for part, scale in parts]
    return np.concatenate(found).astype(np.uint8).tobytes()


def _channel_scales(rows: Values, elem: Scalar, group: int) -> Values:
    blocks = _in_groups(rows, group)
    fits: Values = np.abs(rows).max(1) / (elem.hi * greatest_step(elem))
    best, least = fits.copy(), np.full(fits.shape, np.inf)
    for factor in FACTORS:
        scale = np.maximum(fits * factor, np.finfo(np.float32).tiny)
        cost = _best(blocks, scale, elem, _near(blocks, scale, elem))[1].sum(1)
        better = cost < least
        best, least = np.where(better, scale, best), np.minimum(cost, least)
    return np.where(fits > 0, best, 0.0)


def _near(blocks: Values, scales: Values, elem: Scalar) -> Iterator[Values]:
    """Steps about the one that clips nothing, mostly below it: the best is seldom elsewhere."""
    below = np.floor(np.abs(blocks).max(2) / (scales[:, None] * elem.hi))
    return (np.clip(below + offset, 1, greatest_step(elem)) for offset in NEAR)


def _best(
    blocks: Values, scales: Values, elem: Scalar, tried: Iterable[Values | int]
) -> tuple[Values, Values]:
    """Steps and costs [rows, groups] of the best of those tried; of equals the first."""
    best = np.ones(blocks.shape[:2])
    least = np.full(best.shape, np.inf)
    for step in tried:
        cost = _cost(blocks, scales[:, None] * step, elem)
        better = cost < least
        best, least = np.where(better, step, best), np.minimum(cost, least)
    return best, least


def _cost(blocks: Values, scale: Values, elem: Scalar) -> Values:
    """Σ e² + n · (Σ w·e)² / Σ w² of every group, e = w − quantized: see `least_error`."""
    wide = scale[..., None]
    error = blocks - wide * np.clip(np.rint(blocks / wide), elem.lo, elem.hi)
    power = np.maximum(np.square(blocks).sum(2), np.finfo(np.float64).tiny)
    common = np.square((blocks * error).sum(2)) / power
    return np.square(error).sum(2) + blocks.shape[2] * common


def _in_groups(rows: Values, group: int) -> Values:
    """[rows, groups, group], the last group filled up with zeros."""
    padded = np.pad(rows.astype(np.float64), ((0, 0), (0, -rows.shape[1] % group)))
    return padded.reshape(len(rows), -1, group)


def _parts(values: Values, *, like: Values | None = None) -> Iterator[Values]:
    """Rows, as many at a time as keep memory small."""
    rows = values if like is None else like
    count = max(AT_ONCE // max(rows.shape[1], 1), 1)
    return (values[start : start + count] for start in range(0, len(rows), count))
