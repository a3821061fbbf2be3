"""Integer products through float units: exact where it says so."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcompile.numerics.exact import FLOAT32_EXACT, FLOAT64_EXACT, as_int32, carrier, largest, matmul

EDGES = [
    (FLOAT32_EXACT - 1, np.float32), (FLOAT32_EXACT, np.float64),
    (FLOAT64_EXACT - 1, np.float64), (FLOAT64_EXACT, None),
]  # fmt: skip


@pytest.mark.parametrize(("total", "want"), EDGES)
def test_the_carrier_holds_every_sum(total: int, want: Any):
    assert carrier(total) is want


@given(st.integers(0, 10**6), st.sampled_from([10, 1000, 10**6, 10**9]))
def test_matmul_equals_python_integers(seed: int, size: int):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(-size, size, (2, 3)), rng.integers(-size, size, (3, 2))
    want = a.astype(object) @ b.astype(object)
    assert (matmul(a, b) == want).all()


def test_the_most_negative_integers_multiply_exactly():
    a = np.full((1, 3), -128, np.int8)
    assert matmul(a, a.T).item() == 3 * 16384


def test_empty_products_are_zero():
    assert matmul(np.zeros((2, 0), np.int8), np.zeros((0, 3), np.int8)).tolist() == [[0] * 3] * 2
    assert largest(np.zeros(0)) == 0


def test_a_sum_beyond_32_bits_is_an_error():
    assert as_int32(np.array([2**31 - 1]), where="x").dtype == np.int32
    with pytest.raises(OverflowError, match="x: accumulator 2147483648"):
        as_int32(np.array([2**31]), where="x")
