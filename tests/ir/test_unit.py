"""Units: one scale, or one per channel; positive and finite."""

import re

import pytest

from qcompile.ir.unit import Affine, per_tensor


def test_prints_scale_and_zero_point():
    assert str(per_tensor(0.02, -3)) == "0.02@-3"


def test_prints_many_scales_as_a_digest_of_all_of_them():
    a = str(Affine((1.0, 2.0), axis=0))
    assert re.fullmatch(r"<2 scales [0-9a-f]{6} axis=0>", a)
    assert a != str(Affine((1.0, 3.0), axis=0))


def test_spreads_its_scales_along_the_axis():
    unit = Affine((1.0, 2.0), (3, 4), axis=1)
    assert unit.scales(3).shape == unit.zero_points(3).shape == (1, 2, 1)
    assert per_tensor(1.0).scales(3).shape == (1, 1, 1)


def test_one_zero_point_may_serve_all_channels():
    assert Affine((1.0, 2.0), (3,), axis=0).zero_points(2).shape == (1, 1)


def test_symmetric_means_every_zero_point_is_zero():
    assert Affine((1.0, 2.0), (0, 0), axis=0).symmetric
    assert not Affine((1.0, 2.0), (0, 1), axis=0).symmetric


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan")])
def test_refuses_a_scale_that_is_no_step(scale: float):
    with pytest.raises(ValueError, match="scales must be positive and finite"):
        per_tensor(scale)


def test_refuses_counts_that_do_not_match():
    with pytest.raises(ValueError, match="one scale and one zero point"):
        Affine((1.0, 2.0))
    with pytest.raises(ValueError, match="2 zero points for 3 scales"):
        Affine((1.0, 2.0, 3.0), (0, 1), axis=0)


def test_groups_have_positive_steps_and_no_zero_points():
    with pytest.raises(ValueError, match="a positive step each"):
        Affine((1.0,), group=4, steps=bytes([0]))
    with pytest.raises(ValueError, match="a positive step each"):
        Affine((1.0,), group=4)
    with pytest.raises(ValueError, match="groups of 4 with zero points"):
        Affine((1.0,), (3,), group=4, steps=bytes([1]))


def test_steps_are_spread_over_runs_of_each_channel():
    unit = Affine((1.0, 1.0), axis=0, group=3, steps=bytes([1, 2, 3, 4]))
    assert unit.step_of_each((2, 2, 2)).tolist() == [[[1, 1], [1, 2]], [[3, 3], [3, 4]]]
    assert unit.whole == Affine((1.0, 1.0), axis=0)


def test_prints_the_length_of_its_groups():
    assert str(Affine((1.0, 2.0), axis=0, group=4, steps=bytes([1, 2]))).endswith("axis=0 group=4>")
