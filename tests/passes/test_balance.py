"""Scales between computed factors: ranges become even, the function stays."""

import numpy as np

from qcompile.analysis.axes import scaling_sites
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.reduce import Softmax
from qcompile.ir.ops.shape import Transpose
from qcompile.ir.ops.source import Const, Input, const
from qcompile.ir.types import F32, TensorType
from qcompile.passes.balance import Balance
from qcompile.passes.transforms.equality import difference
from qcompile.passes.transforms.notes import Note
from qcompile.passes.transforms.readers import readers

LENGTH, WIDTH, KEY = 8, 16, 12


def attention(*, outlier: float) -> Graph:
    """Scores softmax(q·kᵀ), the second channel of q `outlier` times as large as the others, and
    that of k as much smaller."""
    rng = np.random.default_rng(0)
    x = Input(TensorType((1, LENGTH, WIDTH), F32), name="x")

    def weight(name: str, factor: float) -> Const:
        numbers = rng.normal(size=(WIDTH, KEY)) / 4
        numbers[:, 1] *= factor
        return const(numbers.astype(np.float32), name=name)

    q: Node = MatMul(x, weight("wq", outlier), name="q")
    k: Node = MatMul(x, weight("wk", 1 / outlier), name="k")
    scores = MatMul(q, Transpose(k, (0, 2, 1)), name="scores")
    return Graph("net", (x,), (("scores", Softmax(scores, axis=2)),))


def samples(count: int = 4) -> list[tuple[np.ndarray, ...]]:
    rng = np.random.default_rng(1)
    return [(rng.normal(size=(1, LENGTH, WIDTH)).astype(np.float32),) for _ in range(count)]


def notes(graph: Graph) -> list[Note]:
    found: list[Note] = []
    Balance(samples=samples(), tell=found.append).run(graph)
    return found


def test_queries_and_keys_are_a_site_that_no_weight_reads():
    (site,) = scaling_sites(attention(outlier=50.0))
    assert not readers(attention(outlier=50.0), site)


def test_the_function_stays():
    graph = attention(outlier=50.0)
    after = Balance(samples=samples()).run(graph)
    assert after is not graph
    assert difference(graph, after, samples()) < 1e-5


def test_an_outlier_costs_next_to_nothing_afterwards():
    (note,) = notes(attention(outlier=50.0))
    assert note.choice == "even ranges"
    assert note.after < note.before / 100


def test_ranges_that_are_even_stay():
    graph = Balance(samples=samples()).run(attention(outlier=50.0))
    (note,) = notes(graph)
    assert note.choice == "none"
    assert Balance(samples=samples()).run(graph) is graph


def test_without_samples_nothing_is_known_and_nothing_done():
    graph = attention(outlier=50.0)
    assert Balance().run(graph) is graph


def test_threads_change_no_bit():
    graph = attention(outlier=50.0)
    one, two = (Balance(samples=samples(), threads=t).run(graph) for t in (1, 2))
    assert [c.data.digest for c in one.constants] == [c.data.digest for c in two.constants]
