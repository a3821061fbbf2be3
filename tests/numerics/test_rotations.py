import numpy as np
import pytest
from numpy.typing import NDArray

from qcompile.numerics.hadamard import hadamard
from qcompile.numerics.rotations import (
    block_diagonal,
    equalized,
    klt,
    klt_hadamard,
    peak_bound,
    peak_to_average,
    signs,
    transformed,
)

SIZES = (2, 6, 12, 64, 107, 188)


def of_order(n: int) -> NDArray[np.int8]:
    """H of an order that has one."""
    found = hadamard(n)
    assert found is not None
    return found


def covariance(n: int):
    rng = np.random.default_rng(n)
    spread = rng.uniform(0.01, 10, n)
    a = rng.standard_normal((n, 2 * n)) * spread[:, None]
    return a @ a.T / n


def assert_orthogonal(r) -> None:
    np.testing.assert_allclose(r.T @ r, np.eye(len(r)), atol=1e-12)


def assert_even(c, r) -> None:
    n = len(c)
    np.testing.assert_allclose(np.diag(r.T @ c @ r), np.trace(c) / n, rtol=1e-9)


@pytest.mark.parametrize("n", SIZES)
def test_klt_makes_channels_uncorrelated_and_sorted(n):
    c = covariance(n)
    k = klt(c)
    assert_orthogonal(k)
    turned = k.T @ c @ k
    np.testing.assert_allclose(turned, np.diag(np.diag(turned)), atol=1e-9 * np.trace(c))
    assert (np.diff(np.diag(turned)) <= 1e-9).all()
    assert (k[np.abs(k).argmax(0), np.arange(n)] > 0).all()


@pytest.mark.parametrize("n", SIZES)
def test_klt_hadamard_gives_all_channels_one_variance(n):
    c = covariance(n)
    r = klt_hadamard(c)
    assert_orthogonal(r)
    assert_even(c, r)


@pytest.mark.parametrize("n", SIZES)
def test_givens_rotations_give_all_channels_one_variance(n):
    c = covariance(n)
    g = equalized(c)
    assert_orthogonal(g)
    assert_even(c, g)


def test_an_even_covariance_is_left_alone():
    np.testing.assert_array_equal(equalized(np.eye(5)), np.eye(5))


def test_hadamard_alone_leaves_correlated_channels_uneven():
    c = covariance(12)
    h = of_order(12) / np.sqrt(12)
    assert np.ptp(np.diag(h.T @ c @ h)) > 0.1 * np.trace(c) / 12


def test_blocks_stand_along_the_diagonal():
    r = block_diagonal([np.full((2, 2), 3.0), np.ones((1, 1))])
    np.testing.assert_array_equal(r, [[3, 3, 0], [3, 3, 0], [0, 0, 1]])


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [(np.eye(8), 8.0), (np.ones((3, 8)), 1.0), (np.zeros((2, 4)), 0.0)],
)
def test_peak_to_average_of_known_rows(rows, wanted):
    assert peak_to_average(rows) == pytest.approx(wanted)


@pytest.mark.parametrize("seed", range(5))
def test_random_signs_hold_the_peak_below_the_bound(seed):
    n = 256
    rng = np.random.default_rng(seed)
    spike = np.eye(n)[3] + 0.01 * rng.standard_normal(n)
    row_of_h = of_order(n)[77].astype(float)
    turned = transformed(np.stack([spike, row_of_h]), axis=1, size=n, seed=seed + 1)
    assert peak_to_average(turned[:1]) < peak_bound(n, 0.01)
    assert peak_to_average(turned[1:]) < peak_bound(n, 0.01)


def test_without_random_signs_a_row_of_h_becomes_a_spike():
    h = of_order(256).astype(float)
    assert peak_to_average(h[77:78] @ h) == pytest.approx(256)


def test_bound_is_the_one_of_the_paper():
    assert peak_bound(4096, 0.01) == pytest.approx(5.2178**2, rel=1e-3)


def test_signs_are_those_of_the_law_and_balanced():
    np.testing.assert_array_equal(signs(12, 1), [1, 1, -1, 1, 1, 1, -1, 1, -1, 1, -1, -1])
    np.testing.assert_array_equal(signs(4, 0), [1, 1, 1, 1])
    assert abs(int(signs(1 << 14, 7).sum())) < 4 * 128
