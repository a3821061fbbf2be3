"""Statistics of channels: the same as over all tokens at once."""

import numpy as np
import pytest

from qcompile.calibrate.channels import channels, collect_channels
from qcompile.errors import CalibrationError
from qcompile.ir.parse import parse

GRAPH = parse("""
def net(x: f32[1, 3, 4]):
    y: f32[1, 3, 4] = relu(x)
    return y
""")


def tokens(*, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(5, 1, 3, 4)).astype(np.float32)


def test_sums_over_samples_are_those_of_all_tokens_at_once():
    x = tokens()
    (found,) = collect_channels(GRAPH, [(GRAPH.inputs[0], 2)], [(s,) for s in x])
    rows = x.reshape(-1, 4).astype(np.float64)
    assert found.count == 15
    np.testing.assert_array_equal(found.largest, np.abs(rows).max(0))
    np.testing.assert_allclose(found.magnitude, np.abs(rows).mean(0))
    assert found.moment is not None
    np.testing.assert_allclose(found.moment, rows.T @ rows / 15)


def test_each_axis_of_a_value_has_statistics_of_its_own():
    x = tokens()
    one, two = collect_channels(GRAPH, [(GRAPH.results[0], a) for a in (1, 2)], [(s,) for s in x])
    assert (one.low.size, two.low.size) == (3, 4)


def test_threads_change_no_bit():
    samples = [(s,) for s in tokens()]
    (one,), (two,) = (
        collect_channels(GRAPH, [(GRAPH.results[0], 1)], samples, threads=t) for t in (1, 3)
    )
    assert one.products is not None
    np.testing.assert_array_equal(one.products, two.products)


@pytest.mark.parametrize(
    ("token", "peak"), [([1.0, -1.0, 1.0, 1.0], 1.0), ([0.0, 0.0, 5.0, 0.0], 4.0)]
)
def test_the_peak_is_1_for_equal_channels_and_n_for_a_single_one(token: list[float], peak: float):
    assert channels(np.array([token]), 1, where="x").peak_to_average == peak


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_no_number_names_its_edge(bad: float):
    with pytest.raises(CalibrationError, match="y: the float model gives NaN"):
        channels(np.array([[bad]]), 1, where="y")


def test_no_samples_are_refused():
    with pytest.raises(CalibrationError, match="no calibration samples"):
        collect_channels(GRAPH, [(GRAPH.results[0], 1)], [])
