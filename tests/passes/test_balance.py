"""Scales between computed factors: ranges become even, the function stays."""

import numpy as np
import pytest

from qcompile.analysis.axes import scaling_sites
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Mul
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.reduce import Softmax
from qcompile.ir.ops.shape import Reshape, Transpose
from qcompile.ir.ops.source import Const, Input, const
from qcompile.ir.types import F32, TensorType
from qcompile.ir.widths import parse_widths
from qcompile.passes.balance import Balance
from qcompile.passes.choose_widths import WidthRule
from qcompile.passes.recipe import Recipe
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


def otherwise_spelled(*, outlier: float) -> Graph:
    """The same scores, both factors divided by a root, and kᵀ by way of three moves."""
    plain = attention(outlier=outlier)
    q, k = plain.named("q"), plain.named("k")
    share = const(np.full((1,), KEY**-0.25, np.float32))
    moved = Transpose(Reshape(k, (LENGTH, KEY)), (1, 0))
    columns = Mul(Reshape(moved, (1, KEY, LENGTH)), share)
    scores = MatMul(Mul(q, share), columns, name="scores")
    return Graph("net", plain.inputs, (("scores", Softmax(scores, axis=2)),))


def samples(count: int = 4) -> list[tuple[np.ndarray, ...]]:
    rng = np.random.default_rng(1)
    return [(rng.normal(size=(1, LENGTH, WIDTH)).astype(np.float32),) for _ in range(count)]


def notes(graph: Graph, recipe: Recipe | None = None) -> list[Note]:
    found: list[Note] = []
    Balance(samples=samples(), recipe=recipe or Recipe(), tell=found.append).run(graph)
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


def test_how_factors_are_spelled_changes_no_choice():
    (one,), (two,) = notes(attention(outlier=50.0)), notes(otherwise_spelled(outlier=50.0))
    assert (one.choice, two.choice) == ("even ranges", "even ranges")
    np.testing.assert_allclose([one.before, one.after], [two.before, two.after], rtol=1e-3)


@pytest.mark.parametrize("scheme", ["W8A8-tensor", "W4A4-token"])
def test_the_error_is_that_of_the_product_in_its_own_format(scheme: str):
    (note,) = notes(attention(outlier=50.0), Recipe(widths=WidthRule(parse_widths(scheme))))
    assert note.choice == "even ranges"


def test_what_stays_real_is_left_alone_and_told():
    (note,) = notes(attention(outlier=50.0), Recipe(widths=WidthRule(parse_widths("W4A16"))))
    assert (note.choice, note.reason) == ("none", "nothing that meets here is quantized")


def test_without_samples_nothing_is_known_and_nothing_done():
    graph = attention(outlier=50.0)
    assert Balance().run(graph) is graph


def test_threads_change_no_bit():
    graph = attention(outlier=50.0)
    one, two = (Balance(samples=samples(), threads=t).run(graph) for t in (1, 2))
    assert [c.data.digest for c in one.constants] == [c.data.digest for c in two.constants]
