"""The scale of a weight's output channels: to the greatest magnitude, or to the least error."""

import numpy as np
import pytest

from qcompile.ir.ops.quant import Spec
from qcompile.ir.ops.source import const
from qcompile.ir.types import I8
from qcompile.ir.unit import per_tensor
from qcompile.passes.weight_units import weight_unit

WEIGHT = Spec(I8, symmetric=True, axis=0)


def test_the_scale_of_a_weight_reaches_its_greatest_magnitude():
    w = const(np.array([[1.27, -0.1], [0.3, -2.54]], np.float32))
    found = weight_unit(w, WEIGHT, None, None)
    assert found.scale == pytest.approx((0.01, 0.02))
    assert (found.axis, found.zero_point) == (0, (0,))


def test_one_scale_for_all_when_the_mark_says_so():
    w = const(np.array([[1.27, -0.1], [0.3, -2.54]], np.float32))
    assert weight_unit(w, Spec(I8, symmetric=True), None, None).scale == pytest.approx((0.02,))


def test_a_dead_channel_takes_the_greatest_scale_of_the_others():
    w = const(np.array([[0, 0], [1.27, 0], [0.5, 2.54]], np.float32))
    assert weight_unit(w, WEIGHT, None, None).scale == pytest.approx((0.02, 0.01, 0.02))


def test_a_weight_of_nothing_but_zeros_has_scale_1():
    w = const(np.zeros((2, 3), np.float32))
    assert weight_unit(w, WEIGHT, None, None).scale == (1.0, 1.0)


def test_a_channel_many_times_smaller_than_the_greatest_stays_a_multiplier():
    w = const(np.array([[1e-30], [1.27]], np.float32))
    small, great = weight_unit(w, WEIGHT, None, None).scale
    assert small == great * 2.0**-24


def test_a_scale_is_raised_until_the_bias_fits_30_bits():
    w = const(np.array([[1.27e-6], [1.27]], np.float32))
    bias = const(np.array([100.0, 100.0], np.float32))
    small, great = weight_unit(w, WEIGHT, bias, per_tensor(0.01)).scale
    assert 100.0 / (small * 0.01) == pytest.approx(2.0**30)
    assert great == pytest.approx(0.01)


def test_a_bias_raises_the_one_scale_of_all():
    w = const(np.array([[1.27e-6], [1.27e-6]], np.float32))
    bias = const(np.array([1.0, -100.0], np.float32))
    found = weight_unit(w, Spec(I8, symmetric=True), bias, per_tensor(0.01))
    assert 100.0 / (found.scale[0] * 0.01) == pytest.approx(2.0**30)
