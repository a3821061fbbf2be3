"""Hadamard matrices of every order that is known here, and their fast transforms.

H is n x n of ±1 with H·Hᵀ = n·I. Order n = K·2^k is H_K ⊗ H_{2^k} (numpy's `kron`), K the least for
which there is a matrix; so x·H takes n·(k + K) additions: butterflies on K contiguous runs, then a
K x K product across them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.numerics import exact
from qcompile.numerics.hadamard_paley import has_paley_one, has_paley_two, paley_one, paley_two
from qcompile.numerics.hadamard_williamson import (
    has_williamson,
    over_t_matrices,
    t_matrices,
    williamson,
)

Values = NDArray[Any]
BLOCK = 1 << 17  # elements that are transformed at once, so that they stay in cache


def hadamard(n: int) -> NDArray[np.int8] | None:
    """H of order n, int8 [n, n]; None when no construction here gives one."""
    found = factored(n)
    if found is None:
        return None
    core, k = found
    return np.kron(_core(core), _sylvester(1 << k)).astype(np.int8)


def constructible(n: int) -> bool:
    """`hadamard(n)` is not None."""
    return factored(n) is not None


def construction(n: int) -> str:
    """How `hadamard(n)` is made: `Sylvester of 64`, or `Paley I of 12 x Sylvester of 8`.

    `ValueError` when there is no matrix of this order.
    """
    core, k = _factors(n)
    made = _core_words(core) if core > 1 else []
    return " x ".join([*made, f"Sylvester of {1 << k}"] if k or not made else made)


def _core_words(n: int) -> list[str]:
    if has_paley_one(n):
        return [f"Paley I of {n}"]
    if has_paley_two(n):
        return [f"Paley II of {n}"]
    if has_williamson(n):
        return [f"Williamson of {n}"]
    if over_t_matrices(n) is not None:
        return [f"T-matrices of {n}"]
    a, b = next(_splits(n))
    return [*_core_words(a), *_core_words(b)]


@cache
def factored(n: int) -> tuple[int, int] | None:
    """(K, k) with n = K·2^k, K the least for which H_K is known; None when there is none."""
    if n < 1:
        return None
    for k in range((n & -n).bit_length() - 1, -1, -1):
        if n >> k == 1 or _is_core(n >> k):
            return n >> k, k
    return None


def kronecker_factors(n: int) -> tuple[int, ...]:
    """Orders f with H_n = H_f0 ⊗ H_f1 ⊗ …, for machines that multiply and add: Σ f is small.

    The last is 16, a register's worth of neighbours; those before are K and powers of two up to 8.
    Orders with fewer than four factors of two stay whole. `ValueError` for unknown orders.
    """
    core, k = _factors(n)
    if k < 4:
        return (n,)
    rest = k - 4
    count = -(-rest // 3)
    parts = [1 << (rest // count + (i < rest % count)) for i in range(count)]
    return (*((core,) if core > 1 else ()), *parts, 16)


def block_size(n: int) -> int:
    """The largest order g for which I ⊗ H_g acts on n channels, n / g being a power of two.

    Where no such g is known, the largest known divisor of n: 128 for 107·128.
    """
    halves = (n >> k for k in range((n & -n).bit_length()))
    whole = next((g for g in halves if g > 1 and constructible(g)), None)
    return whole or next(g for g in range(n, 0, -1) if n % g == 0 and constructible(g))


def additions(n: int) -> int:
    """Those of one fast transform: n·(k + K), or n·k for a power of two.

    `ValueError` when there is no matrix of this order.
    """
    core, k = _factors(n)
    return n * (k + (core if core > 1 else 0))


def fast_hadamard(x: Values, axis: int = -1) -> Values:
    """x·H along the axis: y[j] = Σ_i x[i]·H[i, j], in `additions` for each vector.

    Integers in int64, exactly; floats in their own format. `ValueError` when there is no matrix of
    the axis' order.
    """
    n = x.shape[axis]
    _factors(n)
    kind = x.dtype if np.issubdtype(x.dtype, np.inexact) else np.dtype(np.int64)
    moved = np.moveaxis(x, axis, 0)
    rows = moved.reshape(n, prod(moved.shape[1:]))
    result = np.empty(rows.shape, kind)
    each = max(BLOCK // n, 16)
    for start in range(0, rows.shape[1], each):
        part = np.array(rows[:, start : start + each], kind, order="C")
        result[:, start : start + each] = _transformed(part)
    return np.moveaxis(result.reshape(moved.shape), 0, axis)


def _transformed(columns: Values) -> Values:
    """Hᵀ·columns, the argument overwritten."""
    n, width = columns.shape
    core, k = _factors(n)
    for level in range(k):
        pairs = columns.reshape(-1, 2, (1 << level) * width)
        first, second = pairs[:, 0], pairs[:, 1]
        difference = first - second
        first += second
        second[...] = difference
    if core == 1:
        return columns
    matrix, across = _core(core).T, columns.reshape(core, -1)
    if np.issubdtype(columns.dtype, np.inexact):
        return (matrix.astype(columns.dtype) @ across).reshape(n, width)
    return exact.matmul(matrix, across).reshape(n, width)


def _factors(n: int) -> tuple[int, int]:
    found = factored(n)
    if found is None:
        raise ValueError(f"no Hadamard matrix of order {n} is known: use blocks of {block_size(n)}")
    return found


def _is_core(n: int) -> bool:
    return (
        has_paley_one(n)
        or has_paley_two(n)
        or has_williamson(n)
        or over_t_matrices(n) is not None
        or next(_splits(n), None) is not None
    )


def _splits(n: int) -> Iterator[tuple[int, int]]:
    """The orders a ≤ b of a product, neither a power of two."""
    for a in range(12, int(n**0.5) + 1, 4):
        if n % a == 0 and _is_core(a) and _is_core(n // a):
            yield a, n // a


@cache
def _core(n: int) -> NDArray[np.int8]:
    """H of an order that is not halved further, read only."""
    if n == 1:
        made = np.ones((1, 1), np.int8)
    elif has_paley_one(n):
        made = paley_one(n)
    elif has_paley_two(n):
        made = paley_two(n)
    elif has_williamson(n):
        made = williamson(n)
    elif over_t_matrices(n) is not None:
        made = t_matrices(n)
    else:
        a, b = next(_splits(n))
        made = np.kron(_core(a), _core(b))
    made = made.astype(np.int8)
    made.setflags(write=False)
    return made


def _sylvester(n: int) -> NDArray[np.int8]:
    """Entry (i, j) is −1 to the number of bits that i and j share."""
    shared = np.bitwise_count(np.arange(n)[:, None] & np.arange(n)[None, :])
    return (1 - 2 * (shared & 1)).astype(np.int8)
