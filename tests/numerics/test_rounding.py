"""Rounding by name: the table of halves, and every shift against exact fractions."""

from collections.abc import Callable
from fractions import Fraction
from math import ceil, floor, trunc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from qcompile.numerics.rounding import (
    shift_floor,
    shift_half_away,
    shift_half_even,
    shift_half_up,
    shift_truncate,
)

Shift = Callable[[NDArray[Any], int], NDArray[Any]]

HALVES = np.array([-5, -3, -1, 1, 3, 5])  # of 2: -2.5, -1.5, …
TABLE: list[tuple[Shift, list[int]]] = [
    (shift_half_even, [-2, -2, 0, 0, 2, 2]),
    (shift_half_up, [-2, -1, 0, 1, 2, 3]),
    (shift_half_away, [-3, -2, -1, 1, 2, 3]),
    (shift_truncate, [-2, -1, 0, 0, 1, 2]),
    (shift_floor, [-3, -2, -1, 0, 1, 2]),
]


@pytest.mark.parametrize(("shift", "want"), TABLE)
def test_of_halves(shift: Shift, want: list[int]):
    assert shift(HALVES, 1).tolist() == want


EXACT: list[tuple[Shift, Callable[[Fraction], int]]] = [
    (shift_half_even, round),
    (shift_half_up, lambda x: floor(x + Fraction(1, 2))),
    (shift_half_away, lambda x: floor(x + Fraction(1, 2)) if x >= 0 else ceil(x - Fraction(1, 2))),
    (shift_truncate, trunc),
    (shift_floor, floor),
]


@pytest.mark.parametrize(("shift", "exact"), EXACT)
@given(value=st.integers(-(2**61), 2**61), by=st.integers(0, 62))
def test_equals_exact_division(shift: Shift, exact: Callable[[Fraction], int], value: int, by: int):
    assert shift(np.array([value]), by).item() == exact(Fraction(value, 1 << by))
