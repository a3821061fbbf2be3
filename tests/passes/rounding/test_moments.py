"""Moments are numpy's covariances, losses are variances, and shrinkage is the published formula."""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qcompile.passes.rounding.moments import Center, Moments, doubt, moments_of, weakened

Values = NDArray[Any]


def drawn(samples: int, places: int, n: int, *, seed: int = 0) -> tuple[Values, Values]:
    """x̂ and x − x̂, [samples, places, n]; what a sample's places have in common is strong."""
    rng = np.random.default_rng(seed)
    mix = rng.standard_normal((n, n))
    own = (rng.standard_normal((samples, 1, n)) + rng.standard_normal((samples, places, n))) @ mix
    return own + 3, 0.2 * own + 0.1 * rng.standard_normal(own.shape)


def gathered(own: Values, gap: Values) -> Moments:
    """Of samples with one group."""
    flat = own.reshape(-1, own.shape[-1])
    about = Center(flat.mean(0)[None], gap.reshape(flat.shape).mean(0)[None], flat.std(0)[None])
    parts = [moments_of(a[:, None], b[:, None], about) for a, b in zip(own, gap, strict=True)]
    return reduce(add, parts)


def test_they_are_covariances():
    own, gap = drawn(6, 20, 4)
    found = gathered(own, gap)
    both = np.cov(own.reshape(-1, 4).T, gap.reshape(-1, 4).T, bias=True)
    np.testing.assert_allclose(found.own[0] / 6, both[:4, :4], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.cross[0] / 6, both[4:, :4], rtol=1e-5, atol=1e-5)


def test_the_loss_is_the_variance_of_the_error_but_for_what_nothing_changes():
    own, gap = drawn(5, 30, 4)
    w, kept = np.random.default_rng(1).standard_normal((2, 1, 3, 4))

    def variance(rows: Values) -> float:
        error = (own + gap).reshape(-1, 4) @ w[0].T - own.reshape(-1, 4) @ rows.T
        return float(error.var(0).sum())

    expected = variance(kept[0]) - variance(w[0])
    assert gathered(own, gap).lost(w, kept) == pytest.approx(expected, rel=1e-4)


def test_shrinkage_is_schafers_and_strimmers():
    own, gap = drawn(40, 1, 6)
    found = gathered(own, gap)
    units = (own[:, 0] - own[:, 0].mean(0)) / own[:, 0].std(0)
    products = units[:, :, None] * units[:, None, :]
    beside = ~np.eye(6, dtype=bool)
    variances = products.var(0, ddof=1)[beside].sum() / len(own)
    share = 1 - variances / np.square(products.mean(0)[beside]).sum()
    expected = weakened(found.own / found.count, share)
    np.testing.assert_allclose(found.hessian, expected, rtol=1e-4, atol=1e-4)
    assert 0.2 < share < 0.98


def test_places_of_one_sample_are_no_evidence_of_their_own():
    few, many = (gathered(*drawn(8, places, 12)) for places in (1, 400))
    norms = [np.square(np.triu(m.own[0] / m.count, 1)).sum() for m in (few, many)]
    left = [np.square(np.triu(m.hessian[0], 1)).sum() for m in (few, many)]
    assert left[0] < 0.95 * norms[0]
    assert left[1] < 0.95 * norms[1]


def test_of_one_sample_nothing_but_the_diagonal_is_believed():
    own, gap = drawn(1, 50, 4)
    found = gathered(own, gap)
    np.testing.assert_array_equal(found.hessian[0], np.diag(np.diag(found.own[0])))
    np.testing.assert_array_equal(found.shift, np.zeros((1, 4, 4)))


def test_what_all_samples_agree_on_is_believed():
    same = np.repeat(drawn(1, 50, 4)[0], 5, axis=0)
    found = gathered(same, 0.1 * same)
    np.testing.assert_allclose(found.hessian, found.own / 5, rtol=1e-9)
    np.testing.assert_allclose(found.shift, found.cross / 5, rtol=1e-9)


@pytest.mark.parametrize(("spread", "expected"), [(8.0, 0.0), (10.0, 1 / 12), (400.0, 1.0)])
def test_doubt_is_the_share_of_variance_in_a_mean(spread: float, expected: float):
    found = doubt(np.array([spread]), np.array([2.0]), 4)
    np.testing.assert_allclose(found, [expected])


def test_inputs_that_never_move_have_no_moments():
    own, gap = drawn(4, 10, 3)
    own[..., 1], gap[..., 1] = 2, 0
    found = gathered(own, gap)
    np.testing.assert_allclose(found.hessian[0, 1], 0, atol=1e-9)
    assert np.isfinite(found.shift).all()
