"""Hadamard matrices from four symmetric circulants, and from T-matrices over them.

J. Williamson, 1944; J. Cooper and J. S. Wallis, 1972, with the array of Goethals and Seidel, 1967.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[Any]
Places = tuple[int, ...]

# First rows of A, B, C, D with A² + B² + C² + D² = 4m·I: entry 0 is 1, entries i and m − i are 1
# for each i that is listed, else −1.
ROWS: Mapping[int, tuple[Places, Places, Places, Places]] = {
    3: ((), (), (), (1,)),
    5: ((2,), (1,), (), ()),
    7: ((3,), (2,), (1,), ()),
    9: ((2, 3), (1, 3), (1,), (1, 3, 4)),
    11: ((2, 5), (2, 3, 4), (1, 2, 3), (3,)),
    13: ((2, 5, 6), (2, 3, 6), (1, 2, 4), (6,)),
    15: ((2, 6, 7), (4, 5, 7), (1, 2, 4, 5), (2, 3, 4, 5, 7)),
    17: ((3, 5, 6, 7), (1, 5, 8), (2, 3, 4), (3, 5)),
    19: ((3, 6, 7, 8), (4, 5, 6, 7), (1, 3, 5), (2, 3, 5, 6, 7, 9)),
    21: ((3, 4, 5, 6, 10), (1, 4, 6, 8, 9), (1, 2, 3, 5, 9), (1, 3, 4, 5, 6, 7, 9)),
    23: ((2, 3, 4, 7, 8, 10), (2, 5, 6, 7, 8, 9), (3, 4, 6, 8), (1, 2, 3, 4, 6, 7, 11)),
    25: ((2, 3, 4, 9, 11, 12), (1, 2, 5, 7, 10, 11), (2, 3, 4, 8), (3, 4, 6, 11)),
    29: (
        (1, 3, 4, 5, 8, 10, 11), (3, 4, 5, 8, 9, 11), (1, 3, 5, 6, 7, 9, 10, 12),
        (1, 2, 4, 8, 9, 10, 11, 13, 14),
    ),
    43: (
        (1, 5, 6, 7, 8, 10, 13, 16, 17), (1, 2, 4, 6, 7, 10, 12, 14, 15, 16, 17, 19),
        (1, 3, 4, 5, 6, 7, 8, 13, 15, 18, 19, 21), (4, 5, 8, 9, 10, 11, 13, 15, 16, 17, 19, 20),
    ),
}  # fmt: skip
# Golay pairs X, Y: their aperiodic autocorrelations cancel.
TEN = (
    (1, 1, -1, 1, -1, 1, -1, -1, 1, 1),
    (1, 1, -1, 1, 1, 1, 1, 1, -1, -1),
)
PAIRS = (1, 2, 4, 8, 10, 16)


def has_williamson(n: int) -> bool:
    """n = 4m for a listed m."""
    return n % 4 == 0 and n // 4 in ROWS


def williamson(n: int) -> Ints:
    """[[A, B, C, D], [−B, A, −D, C], [−C, D, A, −B], [−D, −C, B, A]]."""
    a, b, c, d = _circulants(n // 4)
    return np.block([[a, b, c, d], [-b, a, -d, c], [-c, d, a, -b], [-d, -c, b, a]])


def over_t_matrices(n: int) -> tuple[int, int] | None:
    """(t, m) with n = 4tm for T-matrices of order t and a listed m; None when there are none."""
    found = [(2 * g + 1, n // (4 * (2 * g + 1))) for g in PAIRS if n % (4 * (2 * g + 1)) == 0]
    return next(((t, m) for t, m in found if m in ROWS), None)


def t_matrices(n: int) -> Ints:
    """The Goethals–Seidel array of E_i = Σ ± T_j ⊗ (A, B, C, D), with T-matrices of a Golay pair.

    T1 = (1, 0, 0), T2 = (0, X, 0), T3 = (0, 0, Y), T4 = 0 as first rows of circulants.
    """
    found = over_t_matrices(n)
    if found is None:
        raise ValueError(f"no T-matrices for order {n}")
    t, m = found
    one, two, three, four = (np.asarray(s, np.int8) for s in _circulants(m))
    x, y = _golay(t // 2)
    none = (0,) * (t // 2)
    t1, t2, t3 = (_circulant(row) for row in ((1, *none, *none), (0, *x, *none), (0, *none, *y)))
    e1 = np.kron(t1, one) + np.kron(t2, two) + np.kron(t3, three)
    e2 = -np.kron(t1, two) + np.kron(t2, one) + np.kron(t3, four)
    e3 = -np.kron(t1, three) - np.kron(t2, four) + np.kron(t3, one)
    e4 = -np.kron(t1, four) + np.kron(t2, three) - np.kron(t3, two)
    return _goethals_seidel(e1, e2, e3, e4, np.kron(np.fliplr(np.eye(t)), np.eye(m)))


def _goethals_seidel(a: Ints, b: Ints, c: Ints, d: Ints, flip: Ints) -> Ints:
    r = flip.astype(np.int8)
    rows = [
        [a, b @ r, c @ r, d @ r],
        [-b @ r, a, d.T @ r, -c.T @ r],
        [-c @ r, -d.T @ r, a, b.T @ r],
        [-d @ r, c.T @ r, -b.T @ r, a],
    ]
    return np.block(rows).astype(np.int8)


def _circulants(m: int) -> list[Ints]:
    found: list[Ints] = []
    for places in ROWS[m]:
        row = np.full(m, -1, np.int8)
        row[0] = 1
        row[list(places)] = 1
        row[[m - i for i in places]] = 1
        found.append(_circulant(tuple(int(v) for v in row)))
    return found


def _circulant(row: tuple[int, ...]) -> Ints:
    return np.array([np.roll(row, i) for i in range(len(row))], np.int8)


def _golay(length: int) -> tuple[Places, Places]:
    if length == len(TEN[0]):
        return TEN
    x: Places = (1,)
    y: Places = (1,)
    while len(x) < length:
        x, y = (*x, *y), (*x, *(-v for v in y))
    return x, y
