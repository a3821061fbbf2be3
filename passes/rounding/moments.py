"""Second moments of what a contraction reads, and how far a few samples can be believed.

A row w becomes ŵ and reads x̂ where the real network reads x. The mean of its error leaves through
the bias; what is left has the variance, but for what no ŵ changes,

    (w − ŵ)ᵀ A (w − ŵ) + 2 wᵀ C (w − ŵ),    A = cov(x̂, x̂),  C = cov(x − x̂, x̂).

Samples are not alike: what one picture's places have in common is seen but once. So A is shrunk
towards its diagonal and C towards zero by how little the samples agree, in the closed form of
Schäfer & Strimmer, Stat. Appl. Genet. Mol. Biol. 4 (2005) 32, section 2.4 (after Ledoit & Wolf),
each whole sample being one observation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]


@dataclass(frozen=True)
class Center:
    """What is common to all samples: the means [g, n] of x̂ and of x − x̂, and x̂'s deviation."""

    own: Values
    gap: Values
    deviation: Values


@dataclass(frozen=True)
class Moments:
    """Sums over `count` samples of each sample's A and C, [g, n, n] in float64.

    `spread` and `cross_spread` [g] are Σ ‖·‖² of the single samples' matrices in units of x̂'s
    deviations, of A without its diagonal.
    """

    count: int
    deviation: Values
    own: Values
    cross: Values
    spread: Values
    cross_spread: Values

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.count + other.count,
            self.deviation,
            self.own + other.own,
            self.cross + other.cross,
            self.spread + other.spread,
            self.cross_spread + other.cross_spread,
        )

    @property
    def hessian(self) -> Values:
        """A, shrunk towards its diagonal."""
        mean = self.own / self.count
        kept = 1 - doubt(self.spread, norms_beside(mean, self.deviation), self.count)
        return weakened(mean, kept)

    @property
    def shift(self) -> Values:
        """C, shrunk towards zero."""
        mean = self.cross / self.count
        doubted = doubt(self.cross_spread, norms(mean, self.deviation), self.count)
        return mean * (1 - doubted)[:, None, None]

    def lost(self, w: Values, kept: Values) -> float:
        """What rows `w` [g, rows, n] that became `kept` lose here, nothing shrunk; what no choice
        of `kept` changes is left out."""
        error = w - kept
        both = error @ (self.own / self.count) + 2 * (w @ (self.cross / self.count))
        return float((both * error).sum())


def moments_of(own: Values, gap: Values, center: Center) -> Moments:
    """Of one sample: the vectors x̂ and x − x̂ at some places, both [places, g, n]."""
    own = _from_mean(own, center.own)
    turned = own.swapaxes(1, 2)
    a = (own @ turned).astype(np.float64) / own.shape[2]
    c = (_from_mean(gap, center.gap) @ turned).astype(np.float64) / own.shape[2]
    unit = center.deviation
    return Moments(1, unit, a, c, norms_beside(a, unit), norms(c, unit))


def doubt(spread: Values, norm: Values, count: int) -> Values:
    """The part of the squared norm of a mean of `count` matrices that is its variance, 0 to 1.

    `spread` is the sum of their squared norms, `norm` the squared norm of their mean. Shrinking
    the mean by so much has the least expected squared error; of one matrix nothing is believed.
    """
    if count < 2:
        return np.ones_like(norm)
    variance = (spread / count - norm) / (count - 1)
    return np.where(norm > 0, np.clip(variance / np.where(norm > 0, norm, 1.0), 0.0, 1.0), 1.0)


def weakened(hessian: Values, share: Values | float) -> Values:
    """`hessian` [g, n, n] with what is beside the diagonal multiplied by `share`, one or [g]."""
    found = hessian * np.reshape(share, (-1, 1, 1))
    places = range(hessian.shape[-1])
    found[:, places, places] = hessian[:, places, places]
    return found


def norms(matrices: Values, deviation: Values) -> Values:
    """The squared Frobenius norm of each [g, n, n] in units of the deviations [g, n]; what never
    moves is 0."""
    weight = _weights(deviation)
    return ((np.square(matrices) @ weight[..., None])[..., 0] * weight).sum(1)


def norms_beside(matrices: Values, deviation: Values) -> Values:
    """The same without the diagonals."""
    own = np.diagonal(matrices, axis1=1, axis2=2) * _weights(deviation)
    return np.maximum(norms(matrices, deviation) - np.square(own).sum(1), 0.0)


def _weights(deviation: Values) -> Values:
    """1 / deviation², 0 where nothing moves."""
    moves = deviation > 0
    return np.where(moves, 1 / np.square(np.where(moves, deviation, 1.0)), 0.0)


def _from_mean(vectors: Values, mean: Values) -> Values:
    """[places, g, n] less their mean, as f32[g, n, places]."""
    centered = np.asarray(vectors, np.float32) - mean.astype(np.float32)
    return np.ascontiguousarray(centered.transpose(1, 2, 0))
