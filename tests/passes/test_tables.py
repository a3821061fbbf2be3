"""Tables of embeddings in 8 bits: near, the same bits in every stage, and only where it pays."""

import numpy as np
import pytest

from qcompile.ir.graph import Graph
from qcompile.ir.ops.quant import Dequantize, FakeQuant
from qcompile.ir.ops.shape import Gather
from qcompile.ir.ops.source import Const, Input, const
from qcompile.ir.types import F32, I64, U8, TensorType
from qcompile.ir.unit import per_tensor
from qcompile.passes.calibrate import Calibrate
from qcompile.passes.quantize import Quantize
from qcompile.passes.recipe import Recipe
from qcompile.passes.specify import Specify
from qcompile.passes.tables import LARGE

WIDTH = 64
ROWS = LARGE // WIDTH


def lookup(*, rows: int = ROWS) -> Graph:
    rng = np.random.default_rng(0)
    table = rng.normal(size=(rows, WIDTH)) * np.exp(rng.normal(size=(rows, 1)))
    ids = Input(TensorType((1, 7), I64), name="ids")
    found = Gather(const(table.astype(np.float32), name="table"), ids, 0, name="embed")
    return Graph("net", (ids,), (("y", found),))


PLAIN = Recipe()


def stages(graph: Graph, recipe: Recipe = PLAIN) -> tuple[Graph, Graph]:
    calibrated = Calibrate([]).run(Specify(recipe).run(graph))
    return calibrated, Quantize(recipe).run(calibrated)


IDS = np.array([[0, 5, 5, -1, 17, 1000, ROWS - 1]])


def test_each_row_is_off_by_half_a_step_of_its_own_at_most():
    graph = lookup()
    _, integer = stages(graph)
    (wanted,), (found,) = graph.run(IDS), integer.run(IDS)
    step = np.abs(wanted).max(-1, keepdims=True) / 127
    assert (np.abs(found - wanted) <= 0.501 * step).all()


def test_the_integers_give_the_bits_of_the_calibrated_graph():
    calibrated, integer = stages(lookup())
    np.testing.assert_array_equal(integer.run(IDS)[0], calibrated.run(IDS)[0])


def test_the_table_is_stored_in_bytes():
    _, integer = stages(lookup())
    stored = {c.name: c.data.nbytes for c in integer.nodes if isinstance(c, Const)}
    assert stored == {"table": LARGE, "table.scale": 4 * ROWS}
    assert any(isinstance(node, Dequantize) for node in integer.nodes)


def test_a_value_that_is_quantized_and_then_looked_up_in_is_no_table():
    x = Input(TensorType((9, 4), F32), name="x")
    ids = Input(TensorType((3,), I64), name="ids")
    marked = FakeQuant(x, U8, per_tensor(0.1, 128))
    graph = Graph("net", (x, ids), (("y", Gather(marked, ids, 0, name="y")),))
    integer = Quantize(PLAIN).run(graph)
    inputs = (np.linspace(-3, 3, 36, dtype=np.float32).reshape(9, 4), np.array([1, 8, 1]))
    np.testing.assert_array_equal(integer.run(*inputs)[0], graph.run(*inputs)[0])


@pytest.mark.parametrize(
    ("graph", "recipe"),
    [(lookup(rows=8), PLAIN), (lookup(), Recipe(exclude=("embed",)))],
    ids=["small", "excluded"],
)
def test_a_small_table_and_one_that_is_excluded_stay_real(graph: Graph, recipe: Recipe):
    calibrated, _ = stages(graph, recipe)
    assert not any(isinstance(node, FakeQuant) for node in calibrated.nodes)
    assert calibrated.results[0].type.elem == F32
