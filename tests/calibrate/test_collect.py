"""Streaming: the same statistics whatever the number of threads."""

import numpy as np
import pytest

from qcompile.calibrate.collect import collect, in_order
from qcompile.calibrate.statistics import Statistics
from qcompile.errors import CalibrationError
from qcompile.ir.node import Node
from tests.helpers import read, seeded_inputs
from tests.strategies import random_graph


def as_tuple(found: Statistics) -> tuple[bytes, bytes, int, int, bytes]:
    counts = found.counts
    head = found.low.tobytes(), found.high.tobytes()
    return (*head, counts.exponent, counts.zeros, counts.counts.tobytes())


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("threads", [2, 3, 16])
def test_threads_do_not_change_a_bit(seed: int, threads: int):
    graph = random_graph(seed)
    edges: list[Node] = [node for node in graph.nodes if node.operands]
    samples = [seeded_inputs(graph, seed=i) for i in range(5)]
    one = collect(graph, edges, samples, threads=1)
    many = collect(graph, edges, samples, threads=threads)
    assert list(map(as_tuple, one)) == list(map(as_tuple, many))


def test_samples_are_drawn_once_and_only_as_they_are_needed():
    drawn: list[int] = []

    def source():
        for i in range(6):
            drawn.append(i)
            yield i

    results = in_order(lambda i: i * i, source(), threads=2)
    assert next(results) == 0
    assert len(drawn) <= 3
    assert list(results) == [1, 4, 9, 16, 25]
    assert drawn == [0, 1, 2, 3, 4, 5]


def test_no_samples_are_an_error():
    graph = read("def f(x: f32[2]):\n    y = relu(x)\n    return y")
    with pytest.raises(CalibrationError, match="no calibration samples: give at least one"):
        collect(graph, graph.results, [])


def test_the_edge_that_is_not_finite_is_named():
    graph = read("def f(x: f32[2]):\n    big = exp(x)\n    y = relu(big)\n    return y")
    with pytest.raises(CalibrationError, match="big: the float model gives NaN or infinity"):
        collect(graph, [graph.named("big")], [(np.array([1e9, 0], np.float32),)])


def test_marks_of_one_value_share_what_was_seen():
    graph = read("""
        def f(x: f32[2, 3]):
            y = relu(x)
            wide = observe(y, spec=spec())
            narrow = observe(wide, spec=spec(elem=u4))
            return wide, narrow
        """)
    first, second = collect(graph, graph.results, [seeded_inputs(graph)])
    assert first is second
