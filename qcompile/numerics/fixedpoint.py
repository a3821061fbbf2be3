"""Dyadic numbers: a real multiplier as integer multiplier and right shift, m · 2^−s.

The one place where multipliers are derived from real scales; every back end gets the integers.
Method: HAWQ-V3 (arXiv 2011.10680, section 3), with the carry of a mantissa that rounds up to 2^B.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.errors import CalibrationError
from qcompile.numerics.rounding import shift_half_up

MAX_SHIFT = 62
WORD = 31


def dyadic(real: float, *, bits: int = WORD) -> tuple[int, int]:
    """(b, c) with b in [2^(bits−1), 2^bits) and |b · 2^−c / real − 1| ≤ 2^−bits.

    `ValueError` unless real is positive and finite. The shift c may be negative.
    """
    if not 0 < real < math.inf:
        raise ValueError(f"a multiplier must be positive and finite, got {real}")
    mantissa, exponent = math.frexp(real)
    b = math.floor(Fraction(mantissa) * (1 << bits) + Fraction(1, 2))
    c = bits - exponent
    if b == 1 << bits:
        return b >> 1, c - 1
    return b, c


@dataclass(frozen=True, slots=True)
class Multipliers:
    """One non-negative multiplier per channel (or one for all) over one common right shift."""

    value: tuple[int, ...]
    shift: int

    def __post_init__(self) -> None:
        if not 0 <= self.shift <= MAX_SHIFT:
            raise ValueError(f"shift {self.shift} is not in 0…{MAX_SHIFT}")
        if not self.value or min(self.value) < 0 or max(self.value) >= 1 << WORD:
            raise ValueError(f"multipliers must be in 0…2^{WORD}-1, got {self.value[:4]}")


def multipliers(reals: Sequence[float], *, bits: int = WORD) -> Multipliers:
    """The reals as m/2^s with one s: the greatest has `bits` bits, every |m/2^s − M| ≤ 2^(−s−1).

    Common factors of two are taken out, so a power of two is m = 1. A multiplier so small that it
    needs a shift above 62 loses bits, down to 0. `CalibrationError` when one is 2^31 or more.
    """
    greatest = max(reals)
    shift = dyadic(greatest, bits=bits)[1]
    if shift < 0:
        shift = 0
    shift = min(shift, MAX_SHIFT)
    scaled = [math.floor(Fraction(r) * (1 << shift) + Fraction(1, 2)) for r in reals]
    if max(scaled) >= 1 << WORD:
        raise CalibrationError(
            f"multiplier {greatest} is too large for {WORD} bits: the ranges of neighbouring "
            "layers are too far apart; keep them in float with --exclude"
        )
    spare = min(_trailing_zeros(scaled), shift)
    return Multipliers(tuple(m >> spare for m in scaled), shift - spare)


def _trailing_zeros(values: Sequence[int]) -> int:
    """How many factors of two all the values share; 0 when all are 0."""
    joined = 0
    for value in values:
        joined |= value
    return (joined & -joined).bit_length() - 1 if joined else 0


def rescale(value: NDArray[Any], numbers: NDArray[Any], shift: int) -> NDArray[Any]:
    """(value · m + 2^(s−1)) >> s in int64: round half up. |value| < 2^31, 0 ≤ m < 2^31."""
    return shift_half_up(value.astype(np.int64) * numbers.astype(np.int64), shift)
