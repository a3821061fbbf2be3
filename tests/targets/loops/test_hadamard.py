"""How a transform is cut into nests, and what the cost model of a GPU makes of them."""

from math import prod

import pytest

from qcompile.ir.graph import Graph
from qcompile.ir.ops.hadamard import Hadamard
from qcompile.targets.cuda.devices import T4
from qcompile.targets.cuda.lowering import on
from qcompile.targets.cuda.steps import map_milliseconds
from qcompile.targets.loops.draft import Step_
from qcompile.targets.loops.select import lower
from tests.targets.tvm.checks import given, graph_of, narrowed


def steps(graph: Graph) -> list[Step_]:
    """Those of transforms and of what is fused behind them."""
    body = lower(on(T4, graph, int4=False)).body
    return [step for step in body if step.nest.inner]


def transform(tokens: int, channels: int, size: int) -> Graph:
    return graph_of(narrowed(Hadamard(given(tokens, channels), 1, size)))


@pytest.mark.parametrize(
    ("channels", "size", "sums"),
    [
        (512, 512, [16, 4, 8]),
        (64, 64, [16, 4]),
        (768, 768, [16, 4, 12]),
        (48, 16, [16]),
        (20, 20, [20]),
    ],
)
def test_one_nest_for_each_factor(channels, size, sums):
    found = steps(transform(8, channels, size))
    assert [prod(step.nest.inner) for step in found] == sums


def test_the_last_nest_writes_narrow_integers():
    found = steps(transform(8, 512, 512))
    assert [step.nest.out.elem for step in found] == ["i32", "i32", "u8"]


def test_the_cost_model_counts_the_additions():
    few = steps(transform(4096, 344, 4))
    many = steps(transform(4096, 344, 344))
    assert len(few) == len(many) == 1
    assert map_milliseconds(many[0].nest, T4) > 5 * map_milliseconds(few[0].nest, T4)
