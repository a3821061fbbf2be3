"""Paley's two constructions of Hadamard matrices from finite fields.

R. E. A. C. Paley, On orthogonal matrices, 1933.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.numerics.finite_field import characters, prime_power

Ints = NDArray[Any]


def has_paley_one(n: int) -> bool:
    """n = q + 1 for a prime power q ≡ 3 mod 4."""
    return n % 4 == 0 and prime_power(n - 1) is not None


def has_paley_two(n: int) -> bool:
    """n = 2(q + 1) for a prime power q ≡ 1 mod 4."""
    return n % 4 == 0 and n // 2 % 4 == 2 and prime_power(n // 2 - 1) is not None


def paley_one(n: int) -> Ints:
    """H = I + S with S = [[0, 1ᵀ], [−1, Q]], of order q + 1."""
    return (_bordered(n - 1, corner=-1) + np.eye(n, dtype=np.int8)).astype(np.int8)


def paley_two(n: int) -> Ints:
    """H = C ⊗ [[1, 1], [1, −1]] + I ⊗ [[1, −1], [−1, −1]] with C = [[0, 1ᵀ], [1, Q]]."""
    conference = _bordered(n // 2 - 1, corner=1)
    diagonal = np.eye(n // 2, dtype=np.int8)
    total = np.kron(conference, [[1, 1], [1, -1]]) + np.kron(diagonal, [[1, -1], [-1, -1]])
    return total.astype(np.int8)


def _bordered(q: int, *, corner: int) -> Ints:
    found = prime_power(q)
    if found is None:
        raise ValueError(f"{q} is no prime power")
    result = np.zeros((q + 1, q + 1), np.int8)
    result[0, 1:] = 1
    result[1:, 0] = corner
    result[1:, 1:] = characters(*found)
    return result
