"""Smoothing: outliers leave the activations, the function stays."""

from collections.abc import Sequence

import numpy as np
import pytest

from qcompile.errors import UsageError
from qcompile.ir.graph import Graph
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.norm import RmsNorm
from qcompile.ir.ops.pointwise import Silu
from qcompile.ir.ops.source import Input, const
from qcompile.ir.types import F32, TensorType
from qcompile.passes.smooth import Smooth
from qcompile.passes.transforms.notes import Note

LENGTH, WIDTH = 8, 24


def network(*, outlier: float) -> Graph:
    """x → norm → two products, the norm's first channel `outlier` times as large as the others."""
    rng = np.random.default_rng(0)
    x = Input(TensorType((1, LENGTH, WIDTH), F32), name="x")
    scale = np.ones(WIDTH, np.float32)
    scale[0] = outlier
    weights = rng.normal(size=(2, WIDTH, WIDTH)).astype(np.float32)
    weights[:, 0] /= outlier
    y = RmsNorm(x, const(scale), axis=2, name="norm")
    one, two = (MatMul(y, const(w), name=f"product{i}") for i, w in enumerate(weights))
    return Graph("net", (x,), (("one", Silu(one)), ("two", two)))


def samples(count: int = 4) -> list[tuple[np.ndarray, ...]]:
    rng = np.random.default_rng(1)
    return [(rng.normal(size=(1, LENGTH, WIDTH)).astype(np.float32),) for _ in range(count)]


def outputs(graph: Graph) -> list[np.ndarray]:
    return [v for _, v in graph.values(samples(1)[0], keep=graph.results)]


def notes(graph: Graph, *, alpha: float | None = None) -> Sequence[Note]:
    found: list[Note] = []
    Smooth(alpha=alpha, samples=samples(), tell=found.append).run(graph)
    return found


def test_the_function_stays():
    graph = network(outlier=100.0)
    after = Smooth(samples=samples()).run(graph)
    assert after is not graph
    pairs = zip(outputs(graph), outputs(after), strict=True)
    assert max(float(np.abs(a - b).max()) for a, b in pairs) < 1e-5


def test_an_outlier_costs_next_to_nothing_afterwards():
    (note,) = notes(network(outlier=100.0))
    assert note.site == "norm"
    assert note.before > 0.05
    assert note.after < 2e-4


@pytest.mark.parametrize("outlier", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_nothing_is_chosen_that_loses(outlier: float, alpha: float):
    (note,) = notes(network(outlier=outlier), alpha=alpha)
    assert note.after <= note.before


def test_without_samples_nothing_is_known_and_nothing_done():
    graph = network(outlier=100.0)
    assert Smooth().run(graph) is graph


def test_threads_change_no_bit():
    graph = network(outlier=100.0)
    one, two = (Smooth(samples=samples(), threads=t).run(graph) for t in (1, 2))
    assert [c.data.digest for c in one.constants] == [c.data.digest for c in two.constants]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"policy": "iron"}, "no policy 'iron': give smoothquant"), ({"alpha": 1.5}, "give 0 to 1")],
)
def test_what_is_no_option_is_refused(options: dict, message: str):
    with pytest.raises(UsageError, match=message):
        Smooth(**options)
