"""Counts are exact, and in any order the same."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from qcompile.calibrate.histogram import BINS, Histogram, histogram
from qcompile.calibrate.statistics import statistics
from qcompile.errors import CalibrationError

Values = NDArray[np.float32]
REALS = st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=1, max_size=20)


def of(values: list[float] | Values) -> Histogram:
    array = np.array(values, np.float32)
    return histogram(array, float(np.abs(array).max()))


def same(a: Histogram, b: Histogram) -> bool:
    return a.exponent == b.exponent and a.zeros == b.zeros and np.array_equal(a.counts, b.counts)


def normal(seed: int, scale: float = 1.0) -> Values:
    return (np.random.default_rng(seed).standard_normal(1000) * scale).astype(np.float32)


@given(REALS)
def test_every_value_is_counted_once(values: list[float]):
    found = of(values)
    assert found.counts.min() >= 0
    assert found.counts.sum() + found.zeros == len(values)
    assert found.zeros == sum(v == 0 for v in values)


@given(REALS, REALS, REALS)
def test_adding_is_associative_and_commutes(a: list[float], b: list[float], c: list[float]):
    x, y, z = of(a), of(b), of(c)
    assert same((x + y) + z, x + (y + z))
    assert same(x + y, y + x)


@given(REALS, REALS)
def test_the_sum_is_the_histogram_of_all(a: list[float], b: list[float]):
    together = of(a + b)
    assert np.array_equal((of(a) + of(b)).grown(together.exponent).counts, together.counts)


def test_values_lie_in_their_bins():
    values = normal(0)
    found = of(values)
    width = 2.0 ** (found.exponent + 1) / BINS
    edges = (np.arange(BINS + 1) - BINS // 2) * width
    np.testing.assert_array_equal(found.counts, np.histogram(values, edges)[0])
    np.testing.assert_allclose(found.centres, (edges[1:] + edges[:-1]) / 2)


def test_the_grid_is_a_power_of_two_that_holds_the_greatest():
    assert of([0.75]).exponent == 0
    assert of([1.0]).exponent == 1
    assert of([-5.0]).exponent == 3


def test_growing_joins_pairs_of_bins():
    found, values = of([0.9, -0.9, 0.1]), np.array([0.9, -0.9, 0.1])
    grown = found.grown(4)
    assert grown.exponent == 4
    assert grown.counts.sum() == 3
    assert all(abs(grown.centres[grown.counts > 0] - np.sort(values)) <= 16 / BINS)


def test_growing_to_less_is_nothing():
    found = of([5.0])
    assert same(found.grown(0), found)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_nothing_but_zeros_are_zeros(dtype: type[np.floating]):
    found = histogram(np.zeros(7, dtype), 0.0)
    assert (found.zeros, int(np.abs(found.counts).sum())) == (7, 0)


@pytest.mark.parametrize("tiny", [1e-30, 1e-38, 1e-45])
def test_the_smallest_numbers_are_counted(tiny: float):
    found = of([tiny, -tiny, 0.0])
    assert (found.zeros, int(found.counts.sum()), int(found.counts.min())) == (1, 2, 0)


def test_zeros_do_not_hide_what_another_sample_shows():
    both = of([0.0, 0.0]) + of([1.0, -1.0])
    assert both.zeros == 2
    assert both.centres[both.counts > 0] == pytest.approx([-1.0, 1.0], abs=1e-3)


def test_half_precision_values_are_counted_as_they_are():
    values = normal(2, 0.01).astype(np.float16)
    largest = float(np.abs(values).max())
    assert same(histogram(values, largest), histogram(values.astype(np.float32), largest))


def test_statistics_know_the_extremes_of_each_channel():
    values = np.array([[[1, 2], [-3, 4]], [[5, -6], [7, 8]]], np.float32)
    found = statistics(values, where="here")
    assert (found.low.tolist(), found.high.tolist()) == ([-6, -3], [5, 8])
    assert (found.lo, found.hi) == (-6, 8)


def test_statistics_of_a_vector_have_one_channel():
    assert statistics(np.array([3.0, -1.0], np.float32), where="here").low.tolist() == [-1]


def test_statistics_add():
    a, b = normal(0).reshape(10, 100), normal(1, 3.0).reshape(10, 100)
    both = statistics(a, where="a") + statistics(b, where="b")
    all_at_once = statistics(np.concatenate([a, b]), where="c")
    np.testing.assert_array_equal(both.low, all_at_once.low)
    np.testing.assert_array_equal(both.high, all_at_once.high)
    assert same(both.counts, all_at_once.counts)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_statistics_refuse_what_is_not_finite(bad: float):
    with pytest.raises(CalibrationError, match="conv3: the float model gives NaN or infinity"):
        statistics(np.array([1.0, bad], np.float32), where="conv3")


def test_statistics_refuse_nothing():
    with pytest.raises(CalibrationError, match="conv3: the value is empty"):
        statistics(np.zeros((0, 3), np.float32), where="conv3")
