"""Ranges against brute force: on the values themselves, not on a histogram of them."""

import numpy as np
import pytest
from numpy.typing import NDArray

from qcompile.calibrate.estimators import (
    CLIP_WEIGHT,
    ESTIMATORS,
    auto,
    entropy,
    minmax,
    mse,
    percentile,
    squared_error,
)
from qcompile.calibrate.statistics import Statistics, statistics

Values = NDArray[np.float32]
N = 200_000


def draw(kind: str) -> Values:
    rng = np.random.default_rng(7)
    shapes = {
        "normal": rng.standard_normal(N),
        "laplace": rng.laplace(size=N),
        "half normal": np.abs(rng.standard_normal(N)),
        "uniform": rng.uniform(-1, 1, N),
        "relu": np.maximum(rng.standard_normal(N), 0),
        "skewed": np.exp(rng.standard_normal(N)) - 0.5,
        "negative": -np.abs(rng.standard_normal(N)) - 1,
        "one outlier": np.append(rng.standard_normal(N), 30.0),
    }
    return shapes[kind].astype(np.float32)


KINDS = ["normal", "laplace", "half normal", "uniform", "relu", "skewed", "negative", "one outlier"]
ANY_KIND = pytest.mark.parametrize("kind", KINDS)


def seen(values: Values) -> Statistics:
    return statistics(values, where="x")


def quantized(values: Values, lo: float, hi: float, levels: int) -> NDArray[np.float64]:
    step = (hi - lo) / (levels - 1)
    return np.clip(np.rint((values - lo) / step), 0, levels - 1) * step + lo


def true_error(values: Values, bounds: tuple[float, float], levels: int, clip: float = 1) -> float:
    """The squared error itself, with clipping weighed as asked."""
    lo, hi = bounds
    gaps = np.square(values - quantized(values, lo, hi, levels))
    outside = (values < lo) | (values > hi)
    return float(np.mean(gaps * np.where(outside, clip, 1)))


def brute_force(values: Values, levels: int, clip: float = 1) -> float:
    lo, hi = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    sides = np.linspace(0.3, 1, 15)
    tried = {(lo * a, hi * b) for a in sides for b in sides}
    return min(true_error(values, bounds, levels, clip) for bounds in tried)


@ANY_KIND
@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_range_holds_zero_and_lies_in_what_was_seen(name: str, kind: str):
    found = seen(draw(kind))
    lo, hi = ESTIMATORS[name](found, 256)
    assert min(found.lo, 0) <= lo <= 0 <= hi <= max(found.hi, 0)
    assert lo < hi


def test_minmax_is_all_that_was_seen_and_zero():
    assert minmax(seen(np.array([-2.0, 3.0], np.float32)), 256) == (-2.0, 3.0)
    assert minmax(seen(np.array([2.0, 3.0], np.float32)), 256) == (0.0, 3.0)
    assert minmax(seen(np.array([-2.0, -3.0], np.float32)), 256) == (-3.0, 0.0)


@ANY_KIND
def test_percentile_leaves_one_in_hundred_thousand_outside(kind: str):
    values = draw(kind)
    lo, hi = percentile(seen(values), 256)
    width = (values.max() - values.min()) / 1000
    assert np.mean(values < lo - width) <= 1e-5
    assert np.mean(values > hi + width) <= 1e-5


def test_percentile_drops_a_lone_outlier():
    assert percentile(seen(draw("one outlier")), 256)[1] < 6


def test_percentile_counts_zeros():
    values = np.zeros(10_000_000, np.float32)
    values[:50] = 5.0
    assert percentile(seen(values), 256)[1] < 0.01


@pytest.mark.parametrize(
    "kind", ["normal", "laplace", "half normal", "uniform", "skewed", "negative"]
)
@pytest.mark.parametrize("levels", [16, 256])
def test_mse_is_within_a_tenth_of_the_best_range(kind: str, levels: int):
    values = draw(kind)[:20_000]
    found = true_error(values, mse(seen(values), levels), levels)
    assert found <= 1.1 * brute_force(values, levels)


@pytest.mark.parametrize("kind", ["normal", "laplace", "skewed"])
def test_auto_weighs_clipping_more(kind: str):
    values = draw(kind)[:20_000]
    narrow, wide = mse(seen(values), 16), auto(seen(values), 16)
    assert wide[1] - wide[0] > narrow[1] - narrow[0]
    error = true_error(values, wide, 16, CLIP_WEIGHT)
    assert error <= 1.1 * brute_force(values, 16, CLIP_WEIGHT)


@pytest.mark.parametrize("name", ["mse", "auto"])
def test_nothing_is_clipped_where_that_costs_more(name: str):
    values = draw("uniform")
    lo, hi = ESTIMATORS[name](seen(values), 256)
    assert (lo, hi) == (seen(values).lo, seen(values).hi)


def test_the_expected_error_is_near_the_true_one():
    values = draw("normal")
    expected = squared_error(seen(values).counts, (-2.5, 2.5), 256)
    assert expected == pytest.approx(true_error(values, (-2.5, 2.5), 256), rel=0.02)


def test_entropy_keeps_a_normal_and_clips_a_long_tail():
    kept, clipped = entropy(seen(draw("uniform")), 256), entropy(seen(draw("one outlier")), 256)
    assert kept[1] - kept[0] > 1.9
    assert clipped[1] < 20


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_dead_edge_has_a_range_of_nothing(name: str):
    assert ESTIMATORS[name](seen(np.zeros(5, np.float32)), 256) == (0.0, 0.0)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_one_value_alone_is_held(name: str):
    lo, hi = ESTIMATORS[name](seen(np.full(5, 3.0, np.float32)), 256)
    assert (lo, hi) == (0.0, pytest.approx(3.0, rel=1e-3))
