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

from qcompile.calibrate.collect import in_order
from qcompile.ir.types import I8, Scalar

Values = NDArray[Any]
FACTORS = (1.0, 0.95, 0.9, 0.85, 0.8, 1.05, 1.1)  # channel scales tried, of the one that just fits
NEAR = (0, 1, -1, -2, -3)
AT_ONCE = 1 << 16  # weights, so that they stay in cache


def greatest_step(elem: Scalar) -> int:
    """What keeps step · q in 8 bits for every q of the format: 16 for 4 bits."""
    return I8.lo // elem.lo


def channel_scales(
    rows: Values, elem: Scalar, group: int, *, threads: int = 1, energy: Values | None = None
) -> Values:
    """Per row of weights, the scale of least cost with the best steps; 0 for rows of zeros."""

    def one(part: Values) -> Values:
        return _channel_scales(part, _Blocks(part, elem, group, energy))

    return np.concatenate(list(in_order(one, _parts(rows), threads=threads)))


def group_steps(
    rows: Values,
    scales: Values,
    elem: Scalar,
    group: int,
    *,
    threads: int = 1,
    energy: Values | None = None,
) -> bytes:
    """The best step of every group, row-major [rows x groups]; all are tried."""
    every = range(1, greatest_step(elem) + 1)

    def one(part: tuple[Values, Values]) -> Values:
        return _Blocks(part[0], elem, group, energy).best(part[1], every)[0]

    parts = zip(_parts(rows), _parts(scales, like=rows), strict=True)
    found = list(in_order(one, parts, threads=threads))
    return np.concatenate(found).astype(np.uint8).tobytes()


def _channel_scales(rows: Values, blocks: _Blocks) -> Values:
    fits: Values = np.abs(rows).max(1) / (blocks.elem.hi * greatest_step(blocks.elem))
    best, least = fits.astype(np.float64), np.full(fits.shape, np.inf)
    for factor in FACTORS:
        scale = np.maximum(fits * factor, np.finfo(np.float32).tiny, dtype=np.float64)
        cost = blocks.best(scale, blocks.near(scale))[1].sum(1)
        better = cost < least
        best, least = np.where(better, scale, best), np.minimum(cost, least)
    return np.where(fits > 0, best, 0.0)


class _Blocks:
    """Groups of weights, and room for what becomes of them under a scale.

    `energy`, of one row's weights: how much each counts; None when all count alike.
    """

    def __init__(self, rows: Values, elem: Scalar, group: int, energy: Values | None) -> None:
        self.values, self.elem = _in_groups(rows, group), elem
        self._felt = None if energy is None else _in_groups(energy[None] / energy.mean(), group)
        self.power = np.einsum("rgi,rgi->rg", self.values, self._counted(self.values))
        self.peaks: Values = np.abs(self.values).max(2)
        self._room = np.empty_like(self.values)

    def near(self, scales: Values) -> Iterator[Values]:
        """Steps about the one that clips nothing, mostly below it: the best is seldom elsewhere."""
        below = np.floor(self.peaks / (scales[:, None] * self.elem.hi))
        return (np.clip(below + offset, 1, greatest_step(self.elem)) for offset in NEAR)

    def best(self, scales: Values, tried: Iterable[Values | int]) -> tuple[Values, Values]:
        """Steps and costs [rows, groups] of the best of those tried; of equals the first."""
        best = np.ones(self.power.shape)
        least = np.full(best.shape, np.inf)
        for step in tried:
            cost = self.cost(scales[:, None] * step)
            better = cost < least
            best, least = np.where(better, step, best), np.minimum(cost, least)
        return best, least

    def cost(self, scale: Values) -> Values:
        """Σ e² + n · (Σ w·e)² / Σ w² of every group, e = w − s·q: see `least_error`.

        Both sums follow from Σ w², Σ w·q and Σ q².
        """
        q = np.multiply(self.values, (1 / scale)[..., None], out=self._room)
        np.rint(q, out=q)
        np.maximum(q, self.elem.lo, out=q)
        np.minimum(q, self.elem.hi, out=q)
        counted = self._counted(q)
        along = scale * np.einsum("rgi,rgi->rg", self.values, counted)
        error = self.power - 2 * along + scale**2 * np.einsum("rgi,rgi->rg", q, counted)
        common = np.square(self.power - along) / np.maximum(self.power, np.finfo(np.float64).tiny)
        return np.maximum(error, 0.0) + self.values.shape[2] * common

    def _counted(self, values: Values) -> Values:
        return values if self._felt is None else values * self._felt


def _in_groups(rows: Values, group: int) -> Values:
    """[rows, groups, group], the last group filled up with zeros."""
    padded = np.pad(rows.astype(np.float64), ((0, 0), (0, -rows.shape[1] % group)))
    return padded.reshape(len(rows), -1, group)


def _parts(values: Values, *, like: Values | None = None) -> Iterator[Values]:
    """Rows, as many at a time as keep memory small."""
    rows = values if like is None else like
    count = max(AT_ONCE // max(rows.shape[1], 1), 1)
    return (values[start : start + count] for start in range(0, len(rows), count))
