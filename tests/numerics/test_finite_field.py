from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qcompile.numerics.finite_field import characters, prime_power

QS = (3, 5, 7, 9, 11, 25, 27, 49, 81, 121, 125, 243)


def characters_of(q: int) -> NDArray[Any]:
    """Those of the field of q elements."""
    power = prime_power(q)
    assert power is not None
    return characters(*power)


@pytest.mark.parametrize("q", QS)
def test_half_of_the_other_elements_are_at_a_square_from_each(q):
    found = characters_of(q)
    assert (found.sum(1) == 0).all()
    assert (np.count_nonzero(found, 1) == q - 1).all()


@pytest.mark.parametrize("q", QS)
def test_differences_of_rows_follow_jacobsthal(q):
    found = characters_of(q).astype(int)
    np.testing.assert_array_equal(found @ found.T, q * np.eye(q) - np.ones((q, q)))


def test_characters_of_a_prime_field_are_legendre_symbols():
    q = 23
    euler = [pow(a, (q - 1) // 2, q) for a in range(q)]
    symbols = [value if value < 2 else -1 for value in euler]
    np.testing.assert_array_equal(characters(q, 1)[:, 0], symbols)


@pytest.mark.parametrize(("q", "wanted"), [(1, None), (12, None), (243, (3, 5)), (13, (13, 1))])
def test_prime_powers_are_told(q, wanted):
    assert prime_power(q) == wanted
