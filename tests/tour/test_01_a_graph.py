"""Tour, 1 of 7: a graph is a value.

A node is one operation and the tensor it computes. It is frozen, knows its type from the moment
it exists, and can be run. A graph names inputs and outputs; all that lies between is reachable.
"""

import numpy as np
import pytest

from qcompile.errors import TypeMismatch
from qcompile.ir.graph import Graph
from qcompile.ir.ops.binary import Add
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.pointwise import Relu
from qcompile.ir.ops.source import Input, const
from qcompile.ir.parse import parse
from qcompile.ir.text import dump
from qcompile.ir.types import I8, TensorType, f32
from qcompile.ir.unit import per_tensor

# Build from the inputs on. Every operation is a class; its operands come first.
x = Input(f32(1, 2), name="x")
w = const(np.array([[1, -1], [2, 0]], np.float32), name="w")
y = Relu(MatMul(x, w, name="product"), name="y")
graph = Graph("tour", (x,), (("y", y),))


def test_a_graph_runs():
    (result,) = graph.run(np.array([[3, 1]], np.float32))
    assert result.tolist() == [[5.0, 0.0]]


# The text form is a subset of Python: what is printed can be read again. That is how passes are
# tested: a text before, a text after.
TEXT = """\
def tour(x: f32[1, 2]):
    w: f32[2, 2] = const([[1.0, -1.0], [2.0, 0.0]])
    product: f32[1, 2] = mat_mul(x, w)
    y: f32[1, 2] = relu(product)
    return y
"""


def test_a_graph_prints_and_reads_back():
    assert dump(graph) == TEXT
    assert dump(parse(TEXT)) == TEXT


# An ill-typed node never exists: the constructor refuses it.
def test_shapes_are_checked_where_the_node_is_built():
    with pytest.raises(TypeMismatch, match="contracts 2 with 3"):
        MatMul(x, const(np.zeros((3, 2), np.float32)))


# Integers that stand for reals carry a unit: real = scale · (q − zero_point). As in physics, only
# like adds to like, so a forgotten rescale is a type error and not a wrong picture.
meters = Input(TensorType((2,), I8, per_tensor(1.0)), name="meters")
feet = Input(TensorType((2,), I8, per_tensor(0.3048)), name="feet")


def test_only_equal_units_add():
    assert Add(meters, meters).type.unit == per_tensor(1.0)
    with pytest.raises(TypeMismatch, match=r"adds 1@0 to 0\.3048@0: rescale one first"):
        Add(meters, feet)
