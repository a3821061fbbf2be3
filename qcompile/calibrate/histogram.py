"""Counts of values on a grid that grows by powers of two: exact, and in any order the same."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 8192  # over [−2^exponent, 2^exponent)
LEAST_EXPONENT = -100  # of what is not zero: bins per unit stay a float32 number


@dataclass(frozen=True)
class Histogram:
    """How often values fell into each of `BINS` equal bins of [−2^e, 2^e); zeros apart."""

    exponent: int
    counts: NDArray[np.int64]
    zeros: int

    @property
    def centres(self) -> NDArray[Any]:
        """The middle of each bin."""
        width = math.ldexp(2.0, self.exponent) / BINS
        return (np.arange(BINS) - BINS // 2 + 0.5) * width

    def grown(self, exponent: int) -> Histogram:
        """The same counts on a grid of at least this extent: pairs of bins join."""
        counts = self.counts
        for _ in range(exponent - self.exponent):
            pairs = counts.reshape(-1, 2).sum(1)
            counts = np.zeros(BINS, np.int64)
            counts[BINS // 4 : BINS // 4 + BINS // 2] = pairs
        return Histogram(max(exponent, self.exponent), counts, self.zeros)

    def __add__(self, other: Histogram) -> Histogram:
        exponent = max(self.exponent, other.exponent)
        a, b = self.grown(exponent), other.grown(exponent)
        return Histogram(exponent, a.counts + b.counts, a.zeros + b.zeros)


def histogram(values: NDArray[Any], largest: float) -> Histogram:
    """The histogram of one array, `largest` being its greatest magnitude."""
    exponent = max(math.frexp(largest)[1], LEAST_EXPONENT) if largest > 0 else LEAST_EXPONENT
    flat = values.reshape(-1).astype(np.float64)  # in which no scaled float32 underflows
    scale = math.ldexp(BINS / 2, -exponent)
    places = np.floor(flat * scale).astype(np.int32) + BINS // 2
    counts = np.bincount(np.clip(places, 0, BINS - 1), minlength=BINS)
    zeros = int(flat.size - np.count_nonzero(flat))
    counts[BINS // 2] -= zeros
    return Histogram(exponent, counts, zeros)
