"""Integer matrix products through the floating-point units, exactly.

A product of integer matrices is carried by float arithmetic whenever every partial sum is an
integer below the format's exact range (2^24 for float32, 2^53 for float64): then no rounding can
happen, in whatever order the library adds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[Any]

FLOAT32_EXACT = 1 << 24
FLOAT64_EXACT = 1 << 53
INT32_MAX = (1 << 31) - 1
BLOCK = 1 << 23


def carrier(largest_sum: int) -> type[np.floating[Any]] | None:
    """The narrowest float format that holds every integer up to `largest_sum`, if any."""
    if largest_sum < FLOAT32_EXACT:
        return np.float32
    return np.float64 if largest_sum < FLOAT64_EXACT else None


def largest(a: Integers) -> int:
    """max |a|, 0 for an empty array."""
    return 0 if a.size == 0 else max(abs(int(a.min())), abs(int(a.max())))


def matmul(a: Integers, b: Integers) -> Integers:
    """a @ b in int64, numpy's broadcasting; exact for every input that fits int64.

    Large right-hand sides are taken a block of columns at a time, so that their wide copies stay
    small.
    """
    carried = carrier(largest(a) * largest(b) * max(a.shape[-1], 1))
    kind = np.int64 if carried is None else carried
    left, columns = a.astype(kind), b.shape[-1]
    each = max(BLOCK // max(b.size // max(columns, 1), 1), 1)
    if each >= columns:
        return np.matmul(left, b.astype(kind)).astype(np.int64)
    parts = [
        np.matmul(left, b[..., start : start + each].astype(kind)).astype(np.int64)
        for start in range(0, columns, each)
    ]
    return np.concatenate(parts, -1)


def as_int32(total: Integers, *, where: str) -> NDArray[np.int32]:
    """The same integers in int32; `OverflowError` when one does not fit: a proof was wrong."""
    if largest(total) > INT32_MAX:
        raise OverflowError(f"{where}: accumulator {largest(total)} does not fit 32 bits")
    return total.astype(np.int32)
