"""Many samples at once: the values of each alone, every weight loaded once."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from qcompile.calibrate.together import run_together
from qcompile.ir.blob import Blob
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.pointwise import Relu
from qcompile.ir.ops.source import Const, Input
from qcompile.ir.types import F32, Array, TensorType

LOADED: list[int] = []
SAMPLES = [(np.random.default_rng(i).standard_normal((2, 8), np.float32),) for i in range(5)]


def weight() -> Const:
    def load() -> Array:
        LOADED.append(1)
        return np.random.default_rng(9).standard_normal((8, 8), np.float32)

    return Const(Blob((8, 8), np.dtype(np.float32), load), F32, name="w")


X = Input(TensorType((2, 8), F32), name="x")
NET = Graph("net", (X,), (("y", Relu(MatMul(X, weight()))),))


def heard(threads: int) -> dict[tuple[int, Node], Array]:
    found: dict[tuple[int, Node], Array] = {}

    def hear(place: int, node: Node, value: Array) -> None:
        found[place, node] = value

    run_together(NET, SAMPLES, keep=[X, *NET.results], hear=hear, threads=threads)
    return found


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("place", range(5))
def test_values_are_those_of_the_sample_alone(threads: int, place: int):
    found = heard(threads)
    assert_array_equal(found[place, X], SAMPLES[place][0])
    assert_array_equal(found[place, NET.results[0]], NET.run(*SAMPLES[place])[0])


def test_a_weight_is_loaded_once():
    LOADED.clear()
    heard(2)
    assert len(LOADED) == 1


def test_few_go_together_where_memory_is_short(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("qcompile.calibrate.together.MEMORY", 1)
    LOADED.clear()
    assert len(heard(1)) == 10
    assert len(LOADED) == 5
