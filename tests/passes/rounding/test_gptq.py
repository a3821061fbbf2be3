"""GPTQ against its textbook form, its identities, and brute force."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qcompile.passes.rounding.descent import descend
from qcompile.passes.rounding.gptq import damped, gptq, unit_upper
from qcompile.passes.rounding.grid import Grid, losses, permuted
from qcompile.passes.rounding.policy import fed_back

Values = NDArray[Any]


def correlated(n: int, *, seed: int = 0, groups: int = 1) -> Values:
    """Second moments [groups, n, n] of vectors whose elements hang together, heaviest first."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((groups, 4 * n, n)) @ rng.standard_normal((groups, n, n))
    found = x.swapaxes(1, 2) @ x / (4 * n)
    heavy = np.argsort(-np.diagonal(found, axis1=1, axis2=2), axis=1)
    rows = np.take_along_axis(found, heavy[:, :, None], 1)
    return np.take_along_axis(rows, heavy[:, None, :], 2)


def weights(rows: int, n: int, *, seed: int = 1, groups: int = 1) -> Values:
    return np.random.default_rng(seed).standard_normal((groups, rows, n))


def grid(bits: int = 3, *, step: float = 0.5) -> Grid:
    return Grid(np.full((1, 1, 1), step), -(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def textbook(w: Values, hessian: Values, on: Grid) -> Values:
    """Frantar et al., algorithm 1, one column at a time: the inverse's upper Cholesky factor."""
    upper = np.linalg.cholesky(np.linalg.inv(hessian)).T
    left, q = w.copy(), np.empty_like(w)
    for i in range(w.shape[1]):
        q[:, i] = on.nearest(left[None, :, i])[0, :]
        error = (left[:, i] - on.scale[0, 0, 0] * q[:, i]) / upper[i, i]
        left[:, i:] -= error[:, None] * upper[i, i:]
    return q


@pytest.mark.parametrize("n", [5, 24, 200], ids="n={}".format)
def test_it_gives_the_integers_of_the_textbook_form(n: int):
    h, w = correlated(n), weights(6, n)
    expected = textbook(w[0], h[0], grid())
    np.testing.assert_array_equal(gptq(w, h, grid())[0], expected)


def test_the_loss_is_the_sum_of_what_each_rounding_leaves():
    h, w, on = correlated(12), weights(5, 12), grid(8)
    q = gptq(w, h, on)
    upper = unit_upper(h)
    inverse = np.linalg.inv(upper[0])
    pivots = np.diag(inverse @ h[0] @ inverse.T)
    left = (w - 0.5 * q)[0] @ upper[0]
    np.testing.assert_allclose(losses(w - 0.5 * q, h)[0], (left**2 * pivots).sum(1), rtol=1e-9)
    assert np.abs(left).max() <= 0.25 + 1e-12


def test_independent_inputs_leave_every_weight_to_itself():
    w, h = weights(4, 9), np.diag(np.arange(1.0, 10))[None]
    np.testing.assert_array_equal(gptq(w, h, grid()), grid().nearest(w))


def test_columns_may_come_in_any_order():
    h, w = correlated(10), weights(4, 10)
    order = np.random.default_rng(3).permutation(10)[None]
    turned = np.take_along_axis(np.take_along_axis(h, order[:, :, None], 1), order[:, None], 2)
    found = gptq(permuted(w, order), turned, grid())
    np.testing.assert_array_equal(found, permuted(gptq(w, h, grid()), order))


def test_groups_are_rounded_as_if_alone():
    h, w = correlated(6, groups=3), weights(2, 6, groups=3)
    alone = [gptq(w[i : i + 1], h[i : i + 1], grid())[0] for i in range(3)]
    np.testing.assert_array_equal(gptq(w, h, grid()), alone)


def test_inputs_that_are_always_zero_leave_their_weights_to_the_nearest():
    h, w = correlated(6), weights(3, 6)
    h[:, 4], h[:, :, 4] = 0, 0
    np.testing.assert_array_equal(gptq(w, h, grid())[..., 4], grid().nearest(w)[..., 4])


def test_moments_of_too_few_places_are_damped_until_they_have_a_factor():
    x = np.random.default_rng(0).standard_normal((3, 16))
    q = gptq(weights(4, 16), (x.T @ x)[None], grid())
    assert q.min() >= -4
    assert q.max() <= 3


def test_damping_adds_a_share_of_the_mean_diagonal():
    np.testing.assert_allclose(damped(np.diag([1.0, 3.0])[None], 0.5)[0], np.diag([2.0, 4.0]))


@pytest.mark.parametrize("seed", range(5), ids="seed={}".format)
def test_the_loss_is_far_below_that_of_the_nearest_integers(seed: int):
    h, w, on = correlated(24, seed=seed), weights(16, 24, seed=seed + 9), grid(4, step=0.4)
    near, found = on.nearest(w), gptq(w, h, on)
    assert losses(w - 0.4 * found, h).sum() < 0.8 * losses(w - 0.4 * near, h).sum()


@pytest.mark.parametrize("seed", range(4), ids="seed={}".format)
def test_on_tiny_problems_all_steps_together_come_near_the_best_of_all(seed: int):
    h, w, on = correlated(5, seed=seed), weights(8, 5, seed=seed), grid(2, step=0.8)
    every = np.array(list(product(range(-2, 2), repeat=5)), np.float64)
    best = losses(w[0][:, None, :] - 0.8 * every, np.repeat(h, 8, 0)).min(1)
    found = losses(w - 0.8 * fed_back(w, h, on), h)[0]
    assert (found >= best - 1e-9).all()
    assert found.sum() < 1.25 * best.sum()


@pytest.mark.parametrize("seed", range(4), ids="seed={}".format)
@pytest.mark.parametrize("n", [7, 150], ids="n={}".format)
def test_no_sweep_of_the_descent_makes_the_loss_greater(n: int, seed: int):
    h, w, on = correlated(n, seed=seed), weights(6, n, seed=seed), grid(3)
    path = [on.nearest(w)]
    path += [descend(w, path[0], h, on, sweeps=k) for k in range(1, 5)]
    lost = np.array([losses(w - 0.5 * q, h)[0] for q in path])
    assert (np.diff(lost, axis=0) <= 1e-9 * lost[0]).all()
    assert lost[-1].sum() < lost[0].sum()


def test_the_descent_rests_where_no_single_integer_gains():
    h, w, on = correlated(6), weights(3, 6), grid(3)
    q = descend(w, on.nearest(w), h, on, sweeps=100)
    here = losses(w - 0.5 * q, h)[0]
    moves = np.concatenate([np.eye(6), -np.eye(6)])
    other = np.clip(q[0][:, None, :] + moves, -4, 3)
    assert (losses(w[0][:, None] - 0.5 * other, np.repeat(h, 3, 0)) >= here[:, None] - 1e-12).all()
