"""Groups: what is written to memory, and that each group is the graph that it stands for."""

import numpy as np

from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add
from qcompile.ir.ops.integer import requantize
from qcompile.ir.ops.linear import Conv
from qcompile.ir.ops.pointwise import Abs, Clip, Exp
from qcompile.ir.ops.pool import MaxPool
from qcompile.ir.ops.quant import Dequantize, Quantize
from qcompile.ir.ops.reduce import ReduceMax, ReduceSum
from qcompile.ir.ops.source import Input
from qcompile.ir.types import I8, I32, U8, f32
from qcompile.ir.unit import per_tensor
from qcompile.targets.loops.fuse import groups
from tests.targets.tvm.checks import drawn, given, graph_of, narrowed, weights

FINE = per_tensor(1e-5)


def residual() -> tuple[Node, Node, Node]:
    x = given(1, 8, 6, 6)
    conv = Conv(x, weights(8, 8, 3, 3), pads=(1, 1, 1, 1))
    total = Add(requantize(conv, I32, FINE), requantize(x, I32, FINE))
    return x, conv, requantize(total, U8, per_tensor(0.1, 9))


def test_a_residual_block_is_one_group():
    x, conv, result = residual()
    (group,) = groups(graph_of(result))
    assert (group.root, group.head, group.reads) == (conv, result, (x,))


def test_a_value_that_two_read_is_written():
    x = given(1, 8, 6, 6)
    shared = narrowed(Conv(x, weights(8, 8, 1, 1)))
    one, two = (
        narrowed(Conv(shared, weights(8, 8, 1, 1))),
        MaxPool(shared, (2, 2), (2, 2), (0, 0, 0, 0), (1, 1)),
    )
    assert [g.head for g in groups(graph_of(one, two))] == [shared, one, two]


def test_two_convolutions_in_a_sum_are_two_groups():
    x = given(1, 8, 6, 6)
    parts = [requantize(Conv(x, weights(8, 8, 1, 1, seed=s)), I32, FINE) for s in (1, 2)]
    found = groups(graph_of(requantize(Add(*parts), U8, per_tensor(0.1))))
    assert len(found) == 2
    assert all(isinstance(g.root, Conv) for g in found)


def test_what_leaves_as_reals_is_written_as_integers_first():
    value = narrowed(Conv(given(1, 8, 4, 4), weights(8, 8, 1, 1)))
    real = Dequantize(value)
    assert [g.head for g in groups(graph_of(real))] == [value, real]


def test_what_comes_in_as_reals_is_written_as_integers_first():
    """Else nothing could be given the integers instead."""
    entering = Quantize(Input(f32(1, 8, 4, 4), name="x"), U8, per_tensor(0.1, 9))
    behind = requantize(entering, I8, per_tensor(0.2))
    assert [g.head for g in groups(graph_of(behind))] == [entering, behind]


def test_a_group_is_a_graph_of_its_own():
    graph = graph_of(residual()[2])
    (group,) = groups(graph)
    own = group.graph()
    inputs = drawn(own)
    np.testing.assert_array_equal(own.run(*inputs)[0], graph.run(*inputs)[0])


def test_functions_that_only_a_reduction_reads_join_it():
    x = Input(f32(4, 32), name="x")
    power, size = Exp(x), Abs(Exp(x))
    top = Clip(ReduceMax(Abs(power), (1,)), lo=0.5)
    (group,) = groups(graph_of(top))
    assert (group.reads, [n.op for n in group.before]) == ((x,), ["abs", "exp"])
    assert len(groups(graph_of(ReduceMax(size, (1,)), size))) == 2


def test_a_sum_of_two_values_is_written_before_it_is_reduced():
    x, y = Input(f32(4, 32), name="x"), Input(f32(4, 32), name="y")
    total = Add(x, y)
    first, second = groups(graph_of(ReduceSum(Abs(total), (1,))))
    assert (first.head, second.reads) == (total, (total,))
