"""Multipliers are shortened only where that changes nothing."""

from hypothesis import given
from hypothesis import strategies as st

from qcompile.targets.loops.rescaling import shorter

BYTE = (0, 255)


@given(st.integers(1, (1 << 31) - 1), st.integers(24, 40), st.sampled_from([BYTE, (-128, 127)]))
def test_every_integer_of_the_range_is_rescaled_alike(m, shift, bounds):
    short, fewer = shorter(m, shift, *bounds)
    assert fewer <= shift
    assert [_half_up(q, short, fewer) for q in range(bounds[0], bounds[1] + 1)] == [
        _half_up(q, m, shift) for q in range(bounds[0], bounds[1] + 1)
    ]


def test_a_byte_that_becomes_a_nibble_fits_words():
    m, shift = shorter(642081539, 33, *BYTE)
    assert 255 * m + (1 << shift >> 1) < 1 << 31


def test_a_long_range_keeps_its_multiplier():
    assert shorter(642081539, 33, -(1 << 20), 1 << 20) == (642081539, 33)


def test_products_that_fit_words_are_left_alone():
    assert shorter(3, 4, *BYTE) == (3, 4)


def _half_up(q: int, m: int, shift: int) -> int:
    return (q * m + (1 << shift >> 1)) >> shift
