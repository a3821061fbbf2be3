"""A policy takes what loses least on unseen samples, and repairs what the samples show."""

from __future__ import annotations

import numpy as np
import pytest

from qcompile.options import ROUNDINGS
from qcompile.passes.rounding.grid import Grid
from qcompile.passes.rounding.policy import (
    POLICIES,
    Policy,
    Repaired,
    Search,
    fed_back,
    learned,
    to_nearest,
)
from tests.passes.rounding.test_gptq import grid, weights
from tests.passes.rounding.test_moments import drawn, gathered

NAMES = pytest.mark.parametrize("name", ["gptq", "learned", "best"])


def test_the_options_offer_them_all():
    assert tuple(POLICIES) == ROUNDINGS


@NAMES
def test_it_loses_less_on_samples_that_it_has_not_seen(name: str):
    own, gap = drawn(24, 40, 10)
    halves = [gathered(own[i:16:2], gap[i:16:2]) for i in (0, 1)]
    unseen, w = gathered(own[16:], gap[16:]), weights(12, 10)
    found = POLICIES[name](w, halves, grid())
    assert unseen.lost(w, 0.5 * found.q) < 0.7 * unseen.lost(w, 0.5 * grid().nearest(w))


@NAMES
def test_correlations_that_chance_made_are_left_alone(name: str):
    own = np.random.default_rng(2).standard_normal((6, 1, 60))
    halves = [gathered(own[i::2], 0 * own[i::2]) for i in (0, 1)]
    w = weights(5, 60)
    np.testing.assert_array_equal(POLICIES[name](w, halves, grid()).q, grid().nearest(w))


@pytest.mark.parametrize("search", [fed_back, learned])
def test_a_gap_that_the_inputs_foretell_is_repaired(search: Search):
    own, _ = drawn(400, 2, 5)
    seen, w = gathered(own, 0.25 * own), weights(4, 5)
    fine = Grid(np.full((1, 1, 1), 2.0**-12), -(1 << 20), 1 << 20)
    found = Repaired(search)(w, seen, fine)
    np.testing.assert_allclose(found.aim, 1.25 * w, rtol=0.05, atol=0.05)
    np.testing.assert_allclose(2.0**-12 * found.q, found.aim, atol=2.0**-10)


@pytest.mark.parametrize("search", [fed_back, learned])
def test_without_a_gap_the_rows_themselves_are_rounded(search: Search):
    own, _ = drawn(30, 4, 5)
    w = weights(4, 5)
    np.testing.assert_array_equal(Repaired(search)(w, gathered(own, 0 * own), grid()).aim, w)


def test_of_two_ways_the_better_one_is_taken():
    own, gap = drawn(20, 40, 8)
    halves = [gathered(own[i::2], gap[i::2]) for i in (0, 1)]
    w, way = weights(6, 8), Repaired(fed_back)
    found = Policy((to_nearest, way))(w, halves, grid())
    np.testing.assert_array_equal(found.q, way(w, halves[0] + halves[1], grid()).q)


def test_one_sample_alone_is_not_trusted():
    own, gap = drawn(1, 40, 8)
    w = weights(6, 8)
    found = POLICIES["best"](w, [gathered(own, gap)], grid())
    np.testing.assert_array_equal(found.q, grid().nearest(w))
