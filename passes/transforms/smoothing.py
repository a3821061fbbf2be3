"""Which scales smooth a site: policies that look at channels and weights, as pure functions.

Activations are divided by s, what reads them takes s. All results are [blocks, size], positive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]
LEAST = 1e-5
ALPHAS = (0.25, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
RATIOS = tuple(step / 10 for step in range(1, 11))


@dataclass(frozen=True)
class Seen:
    """[blocks, size] each: of activations the greatest and the mean magnitude, of the weights that
    read them and of those that make them the greatest magnitude; 1 where there are none."""

    largest: Values
    magnitude: Values
    read: Values
    made: Values


@dataclass(frozen=True)
class Candidate:
    """Scales, and the words for them."""

    words: str
    scales: Values


def peaks(found: tuple[Values, Values], shape: tuple[int, int]) -> Values:
    """The greatest magnitude of each channel in each block, of vectors and the block of each."""
    rows, ids = found
    result = np.zeros(shape)
    np.maximum.at(result, ids, np.abs(rows).astype(np.float64))
    return result


def believable(largest: Values) -> Values:
    """At least the median of the channels that were seen at all.

    Between bounds a channel that a few samples seldom reach looks small, and a scale that makes it
    as large as the others would cut it off where other samples reach it.
    """
    known = largest[largest > 0]
    floor = float(np.median(known)) if known.size else 0.0
    return np.where(largest > 0, np.maximum(largest, floor), largest)


def smoothquant(seen: Seen, alpha: float) -> Values:
    """max|x|^α / max|w|^(1−α): SmoothQuant (arXiv 2211.10438), equation 4."""
    return _even(
        np.maximum(seen.largest, LEAST) ** alpha / np.maximum(seen.read, LEAST) ** (1 - alpha),
        idle=(seen.largest == 0) | (seen.read == 0),
    )


def awq(seen: Seen, ratio: float) -> Values:
    """(mean |x|)^r over √(greatest · least): AWQ (arXiv 2306.00978), section 3.2."""
    s = np.maximum(seen.magnitude, 1e-4) ** ratio
    return _even(s / np.sqrt(s.max() * s.min()), idle=seen.magnitude == 0)


def equalize(seen: Seen) -> Values:
    """√(r₁/r₂), the ranges of the weights that make and that read a channel become equal.

    Nagel et al. (arXiv 1906.04721), section 4.1.
    """
    idle = (seen.made == 0) | (seen.read == 0)
    return _even(np.sqrt(np.maximum(seen.made, LEAST) / np.maximum(seen.read, LEAST)), idle=idle)


def os_plus(seen: Seen, alpha: float) -> Values:
    """max(1, max|x| / t), t between the greatest of them (alpha 0) and the least (alpha 1).

    Outlier Suppression+ (arXiv 2304.09145), section 4.2, for channels whose middles are 0.
    """
    idle = seen.largest == 0
    known = np.where(idle, seen.largest.max(initial=LEAST), seen.largest)
    greatest, least = float(known.max()), float(known.min())
    t = greatest ** (1 - alpha) * least**alpha
    return _even(np.maximum(1.0, seen.largest / t), idle=idle)


def _smoothquant(seen: Seen, alpha: float | None) -> Iterator[Candidate]:
    for value in ALPHAS if alpha is None else (alpha,):
        yield Candidate(f"smoothquant alpha={value:g}", smoothquant(seen, value))


def _awq(seen: Seen, alpha: float | None) -> Iterator[Candidate]:
    for value in RATIOS if alpha is None else (alpha,):
        yield Candidate(f"awq ratio={value:g}", awq(seen, value))


def _equalize(seen: Seen, alpha: float | None) -> Iterator[Candidate]:
    yield Candidate("equalize", equalize(seen))


def _os_plus(seen: Seen, alpha: float | None) -> Iterator[Candidate]:
    for value in ALPHAS if alpha is None else (alpha,):
        yield Candidate(f"os+ alpha={value:g}", os_plus(seen, value))


def _shift(seen: Seen, alpha: float | None) -> Iterator[Candidate]:
    yield from _os_plus(seen, alpha)
    yield from _smoothquant(seen, alpha)


def _best(seen: Seen, alpha: float | None) -> Iterator[Candidate]:
    for policy in (_smoothquant, _awq, _equalize, _os_plus):
        yield from policy(seen, alpha)


Policy: TypeAlias = Callable[[Seen, float | None], Iterator[Candidate]]
POLICIES: Mapping[str, Policy] = {
    "smoothquant": _smoothquant,
    "awq": _awq,
    "equalize": _equalize,
    "shift": _shift,
    "best": _best,
}
"""What `smooth` may try: a policy's candidates, for one strength or for all on its grid."""

CENTRING: Mapping[str, tuple[str, ...]] = {"shift": ("middle", "mean"), "best": ("mean",)}
"""Policies that centre channels first, where a shift may act, and where they look for the centres:
with SmoothQuant's scales behind it a shift is what is also known as SmoothQuant with bias. Means
leave the least power, so that they also help what turns the channels later."""


def _even(s: Values, *, idle: Values) -> Values:
    """Scales around 1 whose greatest and least are not far out; idle channels keep theirs."""
    kept = np.where(idle, 1.0, s)
    middle = float(np.exp(np.log(kept).mean()))
    return np.where(idle, 1.0, np.clip(kept / middle, 1e-4, 1e4))
