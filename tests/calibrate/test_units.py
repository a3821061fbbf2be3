"""From a range to scale and zero point."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcompile.calibrate.units import activation_format
from qcompile.ir.ops.quant import Spec
from qcompile.ir.types import I8, U8, Scalar
from qcompile.ir.unit import per_tensor

AFFINE, SYMMETRIC = Spec(U8), Spec(I8, symmetric=True)
SIDE = st.floats(0, 1e6)


@given(SIDE, SIDE)
def test_real_zero_is_exact_and_the_range_is_held(low: float, high: float):
    elem, unit = activation_format((-low, high), AFFINE)
    zero, scale = unit.zero_point[0], unit.scale[0]
    assert elem.lo <= zero <= elem.hi
    assert (elem.lo - zero) * scale <= -low + 0.51 * scale
    assert (elem.hi - zero) * scale >= high - 0.51 * scale


@given(SIDE, SIDE)
def test_symmetric_has_zero_point_0(low: float, high: float):
    elem, unit = activation_format((-low, high), SYMMETRIC)
    assert unit.zero_point == (0,)
    assert elem.hi * unit.scale[0] == pytest.approx(max(low, high) or 1.0, rel=1e-6)


def test_nothing_negative_uses_every_level():
    assert activation_format((0.5, 2.55), AFFINE) == (U8, per_tensor(0.009999999776482582, 0))
    assert activation_format((0.0, 2.55), SYMMETRIC) == (U8, per_tensor(0.009999999776482582, 0))


def test_symmetric_with_both_signs_is_signed():
    assert activation_format((-1.27, 1.0), SYMMETRIC) == (I8, per_tensor(0.009999999776482582, 0))


def test_nothing_positive_ends_at_zero():
    elem, unit = activation_format((-2.55, -1.0), AFFINE)
    assert (elem, unit.zero_point) == (U8, (255,))


def test_signed_elements_shift_the_zero_point():
    elem, unit = activation_format((0.0, 2.55), Spec(I8))
    assert (elem, unit.zero_point) == (I8, (-128,))


def test_any_width_goes():
    elem, unit = activation_format((-0.5, 1.0), Spec(Scalar("u4")))
    assert (elem.name, unit) == ("u4", per_tensor(0.10000000149011612, 5))


def test_a_range_of_nothing_but_zero_gets_1():
    assert activation_format((0.0, 0.0), AFFINE)[1].scale[0] == pytest.approx(1 / 255)


def test_a_range_smaller_than_any_scale_still_has_one():
    assert activation_format((0.0, 1e-300), AFFINE)[1].scale[0] == 2.0**-100
