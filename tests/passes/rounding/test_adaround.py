"""AdaRound against brute force, and never worse by its own loss than the nearest integers."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from qcompile.passes.rounding.adaround import adaround
from qcompile.passes.rounding.grid import Grid, losses
from qcompile.passes.rounding.moments import weakened
from qcompile.passes.rounding.policy import fed_back, learned
from tests.passes.rounding.test_gptq import correlated, grid, weights

SEEDS = pytest.mark.parametrize("seed", range(6), ids="seed={}".format)


@SEEDS
@pytest.mark.parametrize("bits", [2, 4], ids="{} bits".format)
def test_no_row_loses_more_than_by_the_nearest_integers(bits: int, seed: int):
    h, on = correlated(20, seed=seed, groups=2), grid(bits, step=0.6)
    w = weights(7, 20, seed=seed, groups=2)
    found, near = adaround(w, h, on), on.nearest(w)
    lost = losses(w - 0.6 * found, h), losses(w - 0.6 * near, h)
    assert (lost[0] <= lost[1]).all()
    assert lost[0].sum() < lost[1].sum()


@SEEDS
def test_where_inputs_hang_together_a_little_it_finds_nearly_the_best_of_all_ways(seed: int):
    h, w, on = weakened(correlated(8, seed=seed), 0.5), weights(10, 8, seed=seed), grid(8)
    every = np.floor(w / 0.5)[0][:, None] + np.array(list(product((0, 1), repeat=8)))
    lost = losses(w[0][:, None] - 0.5 * every, np.repeat(h, 10, 0))
    found = losses(w - 0.5 * adaround(w, h, on), h)[0]
    assert (found >= lost.min(1) - 1e-9).all()
    assert found.sum() < 1.06 * lost.min(1).sum()


def test_where_each_weight_is_for_itself_it_is_the_best_of_all_ways():
    h, w = np.diag(np.arange(1.0, 7))[None], weights(5, 6)
    np.testing.assert_array_equal(adaround(w, h, grid(8)), grid(8).nearest(w))


def test_two_weights_that_read_the_same_share_what_is_left():
    h, w = np.ones((1, 2, 2)) + 1e-3 * np.eye(2), np.array([[[0.2, 0.21]]])
    found = adaround(w, h, Grid(np.full((1, 1, 1), 0.5), -8, 7))
    np.testing.assert_array_equal(found, [[[0.0, 1.0]]])


def test_each_weight_takes_one_of_its_neighbours():
    h, w = correlated(30), weights(6, 30)
    found = adaround(w, h, grid(3))
    assert (np.abs(found - np.clip(w / 0.5, -4, 3)) < 1 + 1e-9).all()


def test_groups_and_rows_have_scales_of_their_own():
    h, w = correlated(12, groups=2), weights(3, 12, groups=2)
    steps = np.random.default_rng(4).uniform(0.2, 0.8, (2, 3, 12))
    on = Grid(steps, -4, 3)
    alone = [
        adaround(w[i : i + 1], h[i : i + 1], Grid(steps[i : i + 1], -4, 3))[0] for i in range(2)
    ]
    np.testing.assert_array_equal(adaround(w, h, on), alone)


def test_the_same_comes_out_twice():
    h, w = correlated(40), weights(9, 40)
    np.testing.assert_array_equal(adaround(w, h, grid()), adaround(w, h, grid()))


def test_weights_that_nothing_reaches_stay_finite():
    h, w = np.zeros((1, 4, 4)), weights(2, 4)
    np.testing.assert_array_equal(adaround(w, h, grid()), grid().nearest(w))


def test_behind_the_descent_it_loses_less_than_gptq():
    h = np.concatenate([correlated(64, seed=seed) for seed in range(6)])
    w, on = weights(32, 64, groups=6), grid(4, step=0.4)
    ours, theirs = (losses(w - 0.4 * f(w, h, on), h).sum() for f in (learned, fed_back))
    assert ours < 0.98 * theirs
