"""The scales that make ranges even, and what uneven ones cost."""

import numpy as np
import pytest

from qcompile.passes.transforms.evenness import Edge, balanced, relative_error


def pair(*, seed: int = 0) -> tuple[Edge, Edge]:
    """Two factors of a product, each with ranges of its own."""
    rng = np.random.default_rng(seed)
    first, second = (np.exp(rng.normal(size=(2, 12)) * 2) for _ in range(2))
    return Edge(first, first**2 / 9, -1.0), Edge(second, second**2 / 9, 1.0)


def test_of_two_factors_both_ranges_become_the_same_up_to_a_factor():
    first, second = pair()
    s = balanced((first, second))
    ratios = (first.largest / s) / (second.largest * s)
    np.testing.assert_allclose(ratios, ratios.mean())


def test_of_one_value_all_ranges_become_equal():
    first, _ = pair()
    found = first.largest / balanced((first,))
    np.testing.assert_allclose(found, found.mean())


@pytest.mark.parametrize("seed", range(4))
def test_a_common_factor_of_a_value_changes_no_scale(seed: int):
    first, second = pair(seed=seed)
    larger = Edge(first.largest * 7, first.power * 49, first.exponent)
    np.testing.assert_allclose(balanced((larger, second)), balanced((first, second)))


def test_even_channels_cost_a_twelfth_of_a_step_squared():
    even = Edge(np.ones((1, 5)), np.ones((1, 5)), 1.0)
    assert relative_error((even,), np.ones((1, 5))) == pytest.approx((2 / 255) ** 2 / 12)


def test_an_outlier_costs_all_others_the_square_of_its_factor():
    largest = np.array([[10.0, 1, 1, 1]])
    uneven = Edge(largest, largest**2, 1.0)
    wanted = (1 + 3 * 10**2) / 4 * (2 / 255) ** 2 / 12
    assert relative_error((uneven,), np.ones((1, 4))) == pytest.approx(wanted)


def test_channels_of_zeros_are_no_error_and_keep_scales_finite():
    silent = Edge(np.array([[0.0, 1, 1]]), np.array([[0.0, 1, 1]]), 1.0)
    s = balanced((silent,))
    assert np.isfinite(s).all()
    assert (s > 0).all()
    assert np.isfinite(relative_error((silent,), s))
