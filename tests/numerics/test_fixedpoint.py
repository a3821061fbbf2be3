"""Dyadic multipliers: golden values (HAWQ-V3 with the carry), and exact bounds."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcompile.numerics.fixedpoint import Multipliers, dyadic, multipliers, rescale

GOLDEN = [
    (0.0123, {8: (202, 14), 16: (51590, 22), 31: (1690499128, 37)}),
    (0.5, {8: (128, 8), 16: (32768, 16), 31: (1073741824, 31)}),
    (1 - 1e-11, {8: (128, 7), 16: (32768, 15), 31: (1073741824, 30)}),
    (1.7e-4, {8: (178, 20), 16: (45634, 28), 31: (1495335814, 43)}),
    (1.0, {8: (128, 7), 16: (32768, 15), 31: (1073741824, 30)}),
    (3.25, {8: (208, 6), 16: (53248, 14), 31: (1744830464, 29)}),
]


@pytest.mark.parametrize(("real", "want"), GOLDEN)
def test_dyadic_numbers(real: float, want: dict[int, tuple[int, int]]):
    assert {bits: dyadic(real, bits=bits) for bits in want} == want


def test_rescaled_accumulators():
    acc = np.array([0, 1, 40, 41, -40, -41, 122, 10000, 123456, -(2**31)])
    want = [0, 0, 0, 1, 0, -1, 2, 123, 1519, -26414049]
    assert rescale(acc, np.array(1690499128), 37).tolist() == want


def test_rescaling_rounds_half_up():
    assert rescale(np.array([-5, -3, -1, 1, 3, 5]), np.array(1), 1).tolist() == [-2, -1, 0, 1, 2, 3]


@given(st.floats(1e-300, 1e300), st.integers(2, 31))
def test_dyadic_errs_by_one_part_in_two_to_the_bits(real: float, bits: int):
    b, c = dyadic(real, bits=bits)
    assert 1 << (bits - 1) <= b < 1 << bits
    assert abs(b * Fraction(2) ** -c / Fraction(real) - 1) <= Fraction(1, 1 << bits)


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=5))
def test_all_channels_err_by_half_a_unit_of_the_shared_shift(reals: list[float]):
    found = multipliers(reals)
    whole = [
        abs(m - Fraction(r) * (1 << found.shift)) for m, r in zip(found.value, reals, strict=True)
    ]
    assert max(whole) <= Fraction(1, 2)


def test_a_power_of_two_is_a_plain_shift():
    assert multipliers([0.25]) == Multipliers((1,), 2)


def test_a_multiplier_too_small_for_the_shift_becomes_zero():
    assert multipliers([1e-30]).value == (0,)


@pytest.mark.parametrize("real", [0.0, -1.0, float("inf"), float("nan")])
def test_refuses_what_is_no_ratio(real: float):
    with pytest.raises(ValueError, match="positive and finite"):
        dyadic(real)


def test_refuses_a_multiplier_beyond_31_bits():
    with pytest.raises(ValueError, match="too large for 31 bits"):
        multipliers([2.0**31])


def test_refuses_a_shift_that_int64_has_not():
    with pytest.raises(ValueError, match="shift 63 is not in 0…62"):
        Multipliers((1,), 63)
