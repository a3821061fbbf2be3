"""Ranges from matched noise leave room for what real values do and noise does not."""

import numpy as np
import pytest

from qcompile.calibrate.bursts import GROWTH, ONE_IN, collect_bursts
from qcompile.calibrate.collect import collect
from qcompile.calibrate.statistics import Statistics
from qcompile.errors import CalibrationError
from qcompile.ir.types import Array
from tests.helpers import read

NET = """
    def f(x: f32[1, 2, 8, 8]):
        w: f32[3, 2, 3, 3] = const(...)
        c = conv(x, w, pads=(1, 1, 1, 1))
        r = clip(c, lo=0.0, hi=14.0)
        s = sigmoid(c)
        twice = add(c, c)
        p = reduce_mean(r, axes=(2, 3))
        across = reduce_mean(c, axes=(1,))
        return r, s, twice, p, across
    """
DRAWN = [
    (np.random.default_rng(i).standard_normal((1, 2, 8, 8)).astype(np.float32),) for i in range(3)
]


def seen(name: str, *, threads: int = 1) -> Statistics:
    graph = read(NET)
    return collect_bursts(graph, [graph.named(name)], DRAWN, threads=threads)[0]


def value(name: str, sample: tuple[Array, ...]) -> Array:
    graph = read(NET)
    return next(v for _, v in graph.values(sample, keep=[graph.named(name)]))


def test_inputs_are_seen_as_they_are():
    graph = read(NET)
    assert seen("x").hi == collect(graph, graph.inputs, DRAWN)[0].hi
    assert seen("x").counts.counts.sum() == 3 * 128


@pytest.mark.parametrize("name", ["c", "twice", "across"])
def test_what_contractions_give_bursts_once(name: str):
    values = np.stack([value(name, sample) for sample in DRAWN])
    np.testing.assert_allclose(seen(name).hi, GROWTH * values.max(), rtol=1e-5)
    np.testing.assert_allclose(seen(name).lo, GROWTH * values.min(), rtol=1e-5)


def test_one_value_in_some_is_of_a_burst():
    counts = seen("c").counts
    assert counts.counts.sum() + counts.zeros == ONE_IN * 3 * 192
    top = np.stack([value("c", sample) for sample in DRAWN]).max()
    beyond = counts.counts[counts.centres > top].sum()
    assert 0 < beyond <= 3 * 192


@pytest.mark.parametrize(("name", "most"), [("r", 14.0), ("s", 1.0)])
def test_bursts_stay_within_what_bounds_the_values(name: str, most: float):
    values = np.stack([value(name, sample) for sample in DRAWN])
    assert values.max() < seen(name).hi <= most


def test_a_mean_over_places_is_seen_as_what_it_averages():
    assert seen("p").hi == seen("r").hi
    assert seen("p").counts.zeros == seen("r").counts.zeros


STEEP = """
    def f(x: f32[1, 1]):
        w: f32[1, 1] = const([1.0])
        c = mat_mul(x, w)
        e = exp(c)
        return e
    """


def test_where_a_burst_is_not_finite_the_usual_value_stands():
    graph = read(STEEP)
    drawn = [(np.full((1, 1), 80.0, np.float32),)]
    found = collect_bursts(graph, [graph.named("e")], drawn)[0]
    assert found.hi == collect(graph, [graph.named("e")], drawn)[0].hi
    assert np.isfinite(found.hi)


def test_threads_do_not_matter():
    one, three = seen("r"), seen("r", threads=3)
    np.testing.assert_array_equal(one.counts.counts, three.counts.counts)
    np.testing.assert_array_equal(one.high, three.high)


def test_no_sample_is_an_error():
    graph = read(NET)
    with pytest.raises(CalibrationError, match="no calibration samples"):
        collect_bursts(graph, [graph.named("c")], [])
