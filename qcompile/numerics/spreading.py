"""x·R for R = diag(ε)·(I ⊗ H)/√n by two products with small matrices: what large weights take."""

from __future__ import annotations

from functools import cache
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.numerics.hadamard import block_size, factored, hadamard
from qcompile.numerics.rotations import signs

Values = NDArray[Any]
AT_ONCE = 1 << 16  # elements, so that what lies between the products stays in cache


def spread(rows: Values, *, order: int, seed: int) -> Values:
    """Each row of [rows, n] times R in float64, H of this order, which divides n; ε as in `signs`.

    H = A ⊗ B takes x as [a, b] to Aᵀ·x·B: n·(a + b) products instead of n². `ValueError` when
    there is no matrix of the order.
    """
    outer, inner = _factors(order)
    blocks = rows.reshape(-1, order)
    result = np.empty(blocks.shape, np.float64)
    turn = signs(order, seed) / sqrt(order)
    each = max(AT_ONCE // order, 1)
    for start in range(0, len(blocks), each):
        part = (blocks[start : start + each] * turn).reshape(-1, len(inner))
        part = (part @ inner).reshape(-1, len(outer), len(inner))
        np.matmul(outer, part, out=result[start : start + each].reshape(part.shape))
    return result.reshape(rows.shape)


@cache
def _factors(order: int) -> tuple[Values, Values]:
    """(Aᵀ, B) with H = A ⊗ B, of orders as near as may be."""
    found = factored(order)
    if found is None:
        raise ValueError(
            f"no Hadamard matrix of order {order} is known: use blocks of {block_size(order)}"
        )
    twos = min(found[1], (order.bit_length() - 1) // 2)
    parts = hadamard(order >> twos), hadamard(1 << twos)
    assert parts[0] is not None
    assert parts[1] is not None
    return np.array(parts[0].T, np.float64, order="C"), parts[1].astype(np.float64)
