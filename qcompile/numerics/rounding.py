"""Rounding, always by name: half up, half away from zero, half to even, toward zero, down.

A shift by `s` divides by 2^s. Inputs are int64 arrays or Python integers, 0 ≤ s ≤ 62; the caller
guarantees that `value + 2^(s-1)` fits int64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[Any]


def shift_half_up(value: Integers, shift: int) -> Integers:
    """floor(value / 2^shift + 1/2): ties toward plus infinity. The compiler's own rounding."""
    if shift == 0:
        return value
    return (value + (1 << (shift - 1))) >> shift


def shift_half_away(value: Integers, shift: int) -> Integers:
    """Nearest, ties away from zero."""
    if shift == 0:
        return value
    return np.sign(value) * ((np.abs(value) + (1 << (shift - 1))) >> shift)


def shift_half_even(value: Integers, shift: int) -> Integers:
    """Nearest, ties to the even neighbour."""
    if shift == 0:
        return value
    floor = value >> shift
    rest = value - (floor << shift)
    half = 1 << (shift - 1)
    return floor + ((rest > half) | ((rest == half) & (floor & 1 == 1)))


def shift_truncate(value: Integers, shift: int) -> Integers:
    """Toward zero."""
    return np.sign(value) * (np.abs(value) >> shift)


def shift_floor(value: Integers, shift: int) -> Integers:
    """Toward minus infinity."""
    return value >> shift
