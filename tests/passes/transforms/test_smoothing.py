"""Policies of smoothing: the ranges that each promises."""

import numpy as np
import pytest

from qcompile.passes.transforms.smoothing import (
    POLICIES,
    Seen,
    awq,
    believable,
    equalize,
    os_plus,
    smoothquant,
)


def seen(*, seed: int = 0) -> Seen:
    rng = np.random.default_rng(seed)
    return Seen(*(np.exp(rng.normal(size=(2, 12)) * 2) for _ in range(4)))


def ratios(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a / b / (a / b).mean()


def test_smoothquant_in_the_middle_makes_both_ranges_equal():
    given = seen()
    s = smoothquant(given, 0.5)
    np.testing.assert_allclose(ratios(given.largest / s, given.read * s), 1)


def test_smoothquant_at_one_makes_all_channels_equal():
    given = seen()
    smooth = given.largest / smoothquant(given, 1.0)
    np.testing.assert_allclose(smooth, smooth.mean())


def test_awq_at_nought_changes_nothing():
    np.testing.assert_allclose(awq(seen(), 0.0), 1)


def test_os_plus_at_nought_changes_nothing():
    np.testing.assert_allclose(os_plus(seen(), 0.0), 1)


def test_os_plus_at_one_makes_all_channels_equal():
    given = seen()
    smooth = given.largest / os_plus(given, 1.0)
    np.testing.assert_allclose(smooth, smooth.mean())


def test_os_plus_between_holds_the_large_channels_to_one_bound_and_leaves_the_rest():
    given = seen()
    smooth = given.largest / os_plus(given, 0.5)
    bound = np.sqrt(given.largest.max() * given.largest.min())
    held = given.largest > bound
    np.testing.assert_allclose(smooth[held], smooth[held].mean())
    np.testing.assert_allclose(smooth[~held] / given.largest[~held], smooth[held].max() / bound)


def test_channels_below_the_median_are_believed_to_reach_it_but_dead_ones_stay():
    found = believable(np.array([[0.0, 0.1, 1.0, 3.0]]))
    np.testing.assert_array_equal(found, [[0.0, 1.0, 1.0, 3.0]])


def test_equalizing_makes_what_makes_a_channel_and_what_reads_it_equal():
    given = seen()
    s = equalize(given)
    np.testing.assert_allclose(ratios(given.made / s, given.read * s), 1)


@pytest.mark.parametrize("policy", POLICIES)
def test_channels_of_zeros_keep_their_scale(policy: str):
    given = Seen(*(np.array([[0.0, 1.0, 4.0]]) for _ in range(4)))
    assert all(c.scales[0, 0] == 1 for c in POLICIES[policy](given, None))


@pytest.mark.parametrize("policy", POLICIES)
def test_scales_are_positive_and_finite(policy: str):
    found = [c.scales for c in POLICIES[policy](seen(seed=3), None)]
    assert all(np.isfinite(s).all() and (s > 0).all() for s in found)
