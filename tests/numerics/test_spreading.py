"""Hadamard matrices with signs, applied by small products, equal the whole matrix."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from qcompile.numerics.hadamard import hadamard
from qcompile.numerics.rotations import signs
from qcompile.numerics.spreading import spread

SIZES = [(1, 1), (2, 2), (12, 12), (64, 64), (96, 48), (96, 32), (640, 640), (2048, 2048)]


@pytest.mark.parametrize(("size", "order"), SIZES)
def test_rows_are_multiplied_by_blocks_of_the_matrix(size: int, order: int):
    rows = np.random.default_rng(size).standard_normal((7, size))
    block = signs(order, 3)[:, None] * np.asarray(hadamard(order)) / np.sqrt(order)
    wanted = rows @ np.kron(np.eye(size // order), block)
    assert_allclose(spread(rows, order=order, seed=3), wanted, rtol=0, atol=1e-13)


def test_parts_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch):
    rows = np.random.default_rng(1).standard_normal((9, 64))
    whole = spread(rows, order=32, seed=1)
    monkeypatch.setattr("qcompile.numerics.spreading.AT_ONCE", 64)
    assert_allclose(spread(rows, order=32, seed=1), whole, rtol=0, atol=1e-14)


def test_orders_without_a_matrix_are_refused():
    with pytest.raises(ValueError, match="no Hadamard matrix of order 6 is known: use blocks of 2"):
        spread(np.ones((1, 6)), order=6, seed=0)
