"""Requantize equals exact rational arithmetic; a table is a function of one integer."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcompile.errors import TypeMismatch
from qcompile.ir.ops.integer import ExpandGroups, Lut, Requantize, constant_integers, requantize
from qcompile.ir.ops.source import const
from qcompile.ir.types import I8, I32, U8, Scalar, TensorType
from qcompile.ir.unit import Affine, per_tensor
from qcompile.numerics.fixedpoint import Multipliers
from tests.helpers import integers, reals, value

INT32 = st.integers(-(2**31), 2**31 - 1)


@given(INT32, st.integers(0, 2**31 - 1), st.integers(0, 62), st.integers(-128, 127))
def test_is_exact_rounding_half_up(q: int, m: int, s: int, z: int):
    x = const(np.array([q]), elem=I32, unit=per_tensor(1.0))
    node = Requantize(x, I8, per_tensor(1.0, z), Multipliers((m,), s), -128, 127)
    exact = floor(Fraction(q * m, 1 << s) + Fraction(1, 2)) + z
    assert value(node).item() == min(max(exact, -128), 127)


@given(INT32, st.floats(1e-6, 0.9))
def test_derived_multipliers_are_within_one_step_of_the_real_ratio(q: int, ratio: float):
    x = const(np.array([q]), elem=I32, unit=per_tensor(ratio))
    exact = Fraction(q) * Fraction(ratio)
    got = value(requantize(x, I32, per_tensor(1.0))).item()
    assert abs(got - exact) <= Fraction(1, 2) + abs(exact) / (1 << 30)


def test_one_multiplier_for_each_channel():
    x = const(np.array([[8, 8]]), elem=I32, unit=Affine((0.5, 0.25), axis=1))
    assert value(requantize(x, I8, per_tensor(1.0))).tolist() == [[4, 2]]


def test_subtracts_the_old_zero_point_and_adds_the_new():
    x = const(np.array([10, 14]), elem=U8, unit=per_tensor(0.5, 10))
    assert value(requantize(x, I8, per_tensor(1.0, -3))).tolist() == [-3, -1]


def test_tighter_bounds_are_a_fused_clip():
    x = const(np.array([-100, 0, 100]), elem=I32, unit=per_tensor(1.0))
    assert value(requantize(x, I8, per_tensor(1.0), lo=0, hi=6)).tolist() == [0, 0, 6]


def test_equal_units_change_no_value():
    x = integers(200, elem=U8, unit=per_tensor(0.3, 7))
    np.testing.assert_array_equal(value(requantize(x, U8, per_tensor(0.3, 7))), value(x))


def test_a_table_is_indexed_from_the_least_integer():
    squares = const(np.arange(-128, 128) ** 2 // 128, elem=U8, unit=per_tensor(0.5))
    x = const(np.array([-128, -1, 0, 127]), elem=I8, unit=per_tensor(1.0))
    node = Lut(x, squares)
    assert node.type.unit == per_tensor(0.5)
    assert value(node).tolist() == [128, 0, 0, 126]


def test_requantize_refuses_reals():
    with pytest.raises(TypeMismatch, match="wants integers with a unit"):
        Requantize(reals(2), I8, per_tensor(1.0), Multipliers((1,), 0), -128, 127)


def test_requantize_refuses_bounds_outside_of_the_elements():
    with pytest.raises(TypeMismatch, match="bounds 0…300 do not lie in i8"):
        requantize(integers(2, elem=I32, unit=per_tensor(1.0)), I8, per_tensor(1.0), lo=0, hi=300)


def test_requantize_refuses_multipliers_of_another_count():
    x = integers(1, 3, elem=I32, unit=Affine((1.0, 2.0, 3.0), axis=1))
    with pytest.raises(TypeMismatch, match="2 multipliers for 3 scales"):
        Requantize(x, I8, per_tensor(1.0), Multipliers((1, 2), 0), -128, 127)


def test_lut_refuses_a_table_of_another_length():
    table = const(np.zeros(4), elem=U8, unit=per_tensor(1.0))
    with pytest.raises(TypeMismatch, match="as table for i8"):
        Lut(integers(2, elem=I8, unit=per_tensor(1.0)), table)


GROUPS = Affine((0.5, 1.0), axis=1, group=2, steps=bytes([1, 3, 2, 16]))


def test_groups_run_along_a_channel_in_row_major_order_and_the_last_may_be_short():
    narrow = const(np.array([[7, -8], [1, 1], [2, -8]]), elem=Scalar("i4"), unit=GROUPS)
    whole = ExpandGroups(narrow)
    assert whole.type == TensorType((3, 2), I8, Affine((0.5, 1.0), axis=1))
    assert value(whole).tolist() == [[7, -16], [1, 2], [6, -128]]
    np.testing.assert_array_equal(constant_integers(whole), value(whole))


@given(st.integers(2, 7), st.data())
def test_steps_times_integers_are_exact(bits: int, data: st.DataObject):
    elem = Scalar(f"i{bits}")
    q = data.draw(st.integers(elem.lo, elem.hi))
    step = data.draw(st.integers(1, 128 >> (bits - 1)))
    unit = Affine((1.0,), group=8, steps=bytes([step]))
    assert value(ExpandGroups(const(np.array([q]), elem=elem, unit=unit))).item() == q * step


def test_steps_that_could_pass_8_bits_are_refused():
    unit = Affine((1.0,), group=8, steps=bytes([17]))
    with pytest.raises(TypeMismatch, match="steps up to 17 of i4 do not fit 8 bits"):
        const(np.zeros(8), elem=Scalar("i4"), unit=unit)


def test_every_group_wants_a_step():
    unit = Affine((1.0,), group=4, steps=bytes([1]))
    with pytest.raises(TypeMismatch, match="1 steps for 2 groups of 4"):
        const(np.zeros(8), elem=Scalar("i4"), unit=unit)


def test_what_has_no_groups_is_not_expanded():
    with pytest.raises(TypeMismatch, match="wants groups"):
        ExpandGroups(integers(4, elem=I8, unit=per_tensor(1.0)))
