"""The scale of a weight's output channels: to the greatest magnitude, or to the least error."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qcompile.ir.ops.quant import Spec, to_integers, to_reals
from qcompile.ir.ops.source import const
from qcompile.ir.types import I8, Scalar
from qcompile.ir.unit import per_tensor
from qcompile.passes.weight_units import weight_unit

Values = NDArray[Any]

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


FOUR = Spec(Scalar("i4"), symmetric=True, axis=0, method="mse")


def rows(*shape: int, seed: int = 0) -> Values:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def quantized(values: Values, spec: Spec) -> tuple[Values, Values]:
    """Integers, and the reals that they stand for."""
    unit = weight_unit(const(values), spec, None, None)
    steps = to_integers(values, spec.elem, unit)
    return steps, to_reals(steps, unit)


def test_clipping_is_worth_it_in_4_bits():
    values = rows(16, 400)
    clipped = quantized(values, FOUR)[1]
    whole = quantized(values, replace(FOUR, method="minmax"))[1]
    assert np.square(values - clipped).sum() < 0.97 * np.square(values - whole).sum()


def test_clipping_does_not_shrink_a_row():
    values = rows(16, 400)
    kept = (values * quantized(values, FOUR)[1]).sum(1) / np.square(values).sum(1)
    assert np.abs(kept - 1).max() < 0.005


def test_an_outlier_is_clipped_no_further_than_it_pays():
    values = np.concatenate([rows(1, 400), np.array([[30.0]], np.float32)], 1)
    assert np.abs(quantized(values, FOUR)[1]).max() > 25


def test_all_sixteen_levels_are_used():
    steps = quantized(rows(64, 400), FOUR)[0]
    assert (steps.min(), steps.max()) == (-8, 7)


def test_no_scale_is_greater_than_the_one_that_clips_nothing():
    values = rows(8, 30)
    wide = weight_unit(const(values), replace(FOUR, method="minmax"), None, None).scale
    assert (np.array(weight_unit(const(values), FOUR, None, None).scale) <= wide).all()


def test_one_scale_for_all_is_searched_over_all():
    values = rows(4, 50)
    one = weight_unit(const(values), replace(FOUR, axis=None), None, None)
    flat = weight_unit(const(values.reshape(1, -1)), FOUR, None, None)
    assert one.scale == flat.scale


def test_the_axis_of_the_channels_may_be_the_last():
    values = rows(30, 6)
    by_column = weight_unit(const(values), replace(FOUR, axis=1), None, None)
    by_row = weight_unit(const(np.ascontiguousarray(values.T)), FOUR, None, None)
    assert by_column.scale == by_row.scale


def test_a_dead_row_is_no_trouble():
    values = np.concatenate([np.zeros((1, 20), np.float32), rows(2, 20)])
    scale = weight_unit(const(values), FOUR, None, None).scale
    assert scale[0] == max(scale[1:])
