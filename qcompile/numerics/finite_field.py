"""Quadratic characters of finite fields GF(p^k), prime powers included."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[Any]


def prime_power(q: int) -> tuple[int, int] | None:
    """(p, k) with q = p^k and p prime; None when q is no prime power."""
    if q < 2:
        return None
    p = next((d for d in range(2, int(q**0.5) + 1) if q % d == 0), q)
    k = 1
    while p**k < q:
        k += 1
    return (p, k) if p**k == q else None


def characters(p: int, k: int) -> Ints:
    """Q[i, j] = χ(i − j) for all elements of GF(p^k): 1 for squares, −1 for others, 0 for zero.

    Element number i has the digits of i to the base p as its coefficients; p is odd.
    """
    q = int(p**k)
    elements = np.arange(q, dtype=np.int64)
    difference = np.zeros((q, q), np.int64)
    for weight in (int(p**place) for place in range(k)):
        digit = elements // weight % p
        difference += (digit[:, None] - digit[None, :]) % p * weight
    return _of_each(p, k)[difference]


def _of_each(p: int, k: int) -> Ints:
    """χ of each element: the powers of a generator are squares and others in turn."""
    q = p**k
    character = np.full(q, -1, np.int8)
    character[0] = 0
    if k == 1:
        character[np.arange(1, q) ** 2 % q] = 1
        return character
    powers = next(found for f in product(range(p), repeat=k) if (found := _powers(f, p)))
    character[powers[0::2]] = 1
    return character


def _powers(modulus: tuple[int, ...], p: int) -> list[int]:
    """All q − 1 powers of x modulo x^k − Σ modulus[i]·x^i, as numbers of elements.

    Empty when x does not generate them all, hence when the polynomial is not primitive.
    """
    k = len(modulus)
    one = (1, *(0,) * (k - 1))
    found, element = list[int](), one
    while True:
        found.append(sum(c * p**i for i, c in enumerate(element)))
        top = element[-1]
        shifted = (0, *element[:-1])
        element = tuple((s + top * m) % p for s, m in zip(shifted, modulus, strict=True))
        if element == one:
            return found if len(found) == p**k - 1 else []
        if len(found) == p**k - 1 or not any(element):
            return []
