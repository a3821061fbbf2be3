"""Signs of transforms at run time move into weights, to the bit, or stay where they are."""

import numpy as np
import pytest

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add, Mul
from qcompile.ir.ops.hadamard import Hadamard
from qcompile.ir.ops.linear import Conv, MatMul
from qcompile.ir.ops.norm import RmsNorm
from qcompile.ir.ops.pointwise import Relu, Silu
from qcompile.ir.ops.shape import Transpose
from qcompile.ir.ops.source import Const, Input, const
from qcompile.ir.types import f32
from qcompile.passes.transforms.signs import fold_signs
from tests.helpers import seeded_inputs

X = Input(f32(1, 6, 8), name="x")
PICTURE = Input(f32(1, 8, 3, 3), name="p")


def weight(*shape: int, seed: int = 0) -> Const:
    return const(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def turned(x: Node, value: Node, axis: int = 2) -> Graph:
    assert isinstance(x, Input)
    return Graph("net", (x,), (("y", Hadamard(value, axis, 4, seed=3, name="turned")),))


def seeds(graph: Graph) -> list[int]:
    return [node.seed for node in graph.nodes if isinstance(node, Hadamard)]


def product(seed: int = 0, *, bias: bool = False) -> Node:
    return MatMul(X, weight(8, 12, seed=seed), weight(12, seed=9) if bias else None)


FOLDED = {
    "a product": turned(X, product()),
    "a product with a bias": turned(X, product(bias=True)),
    "a gated value": turned(X, Mul(Silu(product(1)), product())),
    "a product behind a move": turned(X, Transpose(product(), (0, 2, 1)), axis=1),
    "a norm with a scale": turned(X, RmsNorm(X, weight(8), 2)),
    "a convolution": turned(PICTURE, Conv(PICTURE, weight(8, 8, 1, 1), weight(8, seed=2)), axis=1),
}
KEPT = {
    "an input": turned(X, X),
    "behind a bound": turned(X, Relu(product())),
    "a sum of two values": turned(X, Add(product(), product(1))),
    "a number for each token": turned(X, Mul(weight(1, 6, 1), RmsNorm(X, None, 2))),
}


@pytest.mark.parametrize("graph", FOLDED.values(), ids=FOLDED.keys())
def test_signs_go_into_constants_to_the_bit(graph: Graph):
    after = fold_signs(graph)
    assert (seeds(graph), seeds(after)) == ([3], [0])
    inputs = seeded_inputs(graph, seed=1)
    np.testing.assert_array_equal(after.run(*inputs)[0], graph.run(*inputs)[0])


@pytest.mark.parametrize("graph", KEPT.values(), ids=KEPT.keys())
def test_signs_stay_where_nothing_takes_them(graph: Graph):
    assert fold_signs(graph) is graph


def test_signs_stay_where_something_else_reads_the_value():
    value = product()
    graph = Graph("net", (X,), (("y", Hadamard(value, 2, 4, seed=3)), ("z", Relu(value))))
    assert fold_signs(graph) is graph


def test_a_second_run_changes_nothing():
    once = fold_signs(FOLDED["a gated value"])
    assert fold_signs(once) is once
