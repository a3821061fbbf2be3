"""The scales that make ranges even, and what uneven ones cost."""

import numpy as np
import pytest

from qcompile.passes.transforms.evenness import Edge, balanced


def pair(*, seed: int = 0) -> tuple[Edge, Edge]:
    """Two factors of a product, each with ranges of its own."""
    rng = np.random.default_rng(seed)
    first, second = (np.exp(rng.normal(size=(2, 12)) * 2) for _ in range(2))
    return Edge(first, -1.0), Edge(second, 1.0)


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
    larger = Edge(first.largest * 7, first.exponent)
    np.testing.assert_allclose(balanced((larger, second)), balanced((first, second)))


def test_channels_of_zeros_keep_scales_finite():
    s = balanced((Edge(np.array([[0.0, 1, 1]]), 1.0),))
    assert np.isfinite(s).all()
    assert (s > 0).all()
