"""From counts to a range: minmax, percentile, mse, entropy.

Each estimator maps the statistics of an edge and the number of integer levels to (lo, hi), a range
that holds zero. All work on the histogram, so none needs a second look at the data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from qcompile.calibrate.histogram import Histogram
from qcompile.calibrate.statistics import Statistics

Range: TypeAlias = tuple[float, float]
Estimator: TypeAlias = Callable[[Statistics, int], Range]

TAIL = 1e-5  # share of values that percentile leaves outside, on each side
STEPS = 24  # ranges tried on each side by mse and entropy
SMALLEST = 0.3  # of the full range
CLIP_WEIGHT = 4.0


def minmax(seen: Statistics, levels: int) -> Range:
    """Everything that was seen."""
    return min(seen.lo, 0.0), max(seen.hi, 0.0)


def percentile(seen: Statistics, levels: int) -> Range:
    """All but 10^-5 of the values on each side."""
    lo, hi = minmax(seen, levels)
    counts, centres = _with_zeros(seen.counts), seen.counts.centres
    share = np.cumsum(counts) / max(int(counts.sum()), 1)
    low = centres[int(np.searchsorted(share, TAIL))]
    high = centres[min(int(np.searchsorted(share, 1 - TAIL)), centres.size - 1)]
    return min(max(lo, float(low)), 0.0), max(min(hi, float(high)), 0.0)


def mse(seen: Statistics, levels: int) -> Range:
    """The range with the least expected squared error: clipping plus step²/12 inside."""
    full = minmax(seen, levels)
    return min(_candidates(full), key=lambda r: squared_error(seen.counts, r, levels))


def auto(seen: Statistics, levels: int) -> Range:
    """As mse, but clipping counts `CLIP_WEIGHT`-fold: it is one-sided, so layers behind add it up,
    while rounding errors cancel.
    """
    full = minmax(seen, levels)
    return min(
        _candidates(full),
        key=lambda r: squared_error(seen.counts, r, levels, clip_weight=CLIP_WEIGHT),
    )


def entropy(seen: Statistics, levels: int) -> Range:
    """The range whose quantized distribution is nearest by Kullback-Leibler divergence."""
    full = minmax(seen, levels)
    return min(_candidates(full), key=lambda r: _divergence(seen.counts, r, levels))


ESTIMATORS: Mapping[str, Estimator] = {
    "auto": auto,
    "minmax": minmax,
    "percentile": percentile,
    "mse": mse,
    "entropy": entropy,
}


def squared_error(
    counts: Histogram, bounds: Range, levels: int, *, clip_weight: float = 1.0
) -> float:
    """Expected squared error of quantizing to `levels` integers over [lo, hi], per value."""
    lo, hi = bounds
    centres, n = counts.centres, counts.counts
    step = (hi - lo) / (levels - 1)
    outside = np.maximum(np.maximum(lo - centres, centres - hi), 0.0)
    inside = int(n[outside == 0].sum())
    total = clip_weight * float((n * np.square(outside)).sum()) + inside * step * step / 12
    return total / max(int(n.sum()) + counts.zeros, 1)


def _candidates(full: Range) -> list[Range]:
    """The full range first, so that it wins ties, then ranges that clip either side."""
    factors = [1 - (1 - SMALLEST) * i / (STEPS - 1) for i in range(STEPS)]
    lows = [full[0] * f for f in factors] if full[0] < 0 else [0.0]
    highs = [full[1] * f for f in factors] if full[1] > 0 else [0.0]
    return [(lo, hi) for lo, hi in product(lows, highs) if hi > lo] or [full]


def _with_zeros(counts: Histogram) -> NDArray[np.int64]:
    result = counts.counts.copy()
    result[result.size // 2] += counts.zeros
    return result


def _divergence(counts: Histogram, bounds: Range, levels: int) -> float:
    lo, hi = bounds
    centres = counts.centres
    inside = (centres >= lo) & (centres <= hi)
    if not inside.any():
        return float("inf")
    real = counts.counts[inside].astype(np.float64)
    real[0] += counts.counts[centres < lo].sum()
    real[-1] += counts.counts[centres > hi].sum()
    kept = counts.counts[inside].astype(np.float64)
    level = np.floor((centres[inside] - lo) / (hi - lo) * (levels - 1) + 0.5).astype(np.int64)
    filled = np.bincount(level, kept, levels)
    places = np.bincount(level, kept > 0, levels)
    mean = filled / np.maximum(places, 1)
    model = np.where(kept > 0, mean[level], 0.0)
    p, q = real / max(real.sum(), 1), model / max(model.sum(), 1)
    both = (p > 0) & (q > 0)
    missed = p[(p > 0) & (q == 0)].sum()
    return float((p[both] * np.log(p[both] / q[both])).sum() + missed * 20)
