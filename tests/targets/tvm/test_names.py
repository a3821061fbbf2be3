"""Names of traced values: one value each, before and after weights are widened."""

from collections import Counter

import numpy as np

from qcompile.ir.graph import Graph
from qcompile.ir.ops.binary import Add
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.quant import Dequantize, Quantize
from qcompile.ir.ops.source import Input, const
from qcompile.ir.types import F32, I8, TensorType
from qcompile.ir.unit import per_tensor
from qcompile.targets.tvm.names import value_names
from qcompile.targets.whole_weights import with_whole_weights


def graph() -> Graph:
    """Reals called alike, integers that share a real's name, and a narrow weight."""
    x = Input(TensorType((4, 4), F32), name="x")
    first = Add(x, x, name="twin")
    second = Add(first, x, name="twin")
    whole = Quantize(second, I8, per_tensor(0.5), name="twin")
    weight = const(np.eye(4, dtype=np.int8), elem=I8, unit=per_tensor(0.25))
    product = MatMul(Dequantize(whole), Dequantize(weight), name="product")
    return Graph("g", (x,), (("y", Add(product, x)),))


def test_each_value_has_a_name_of_its_own():
    names = value_names(graph())
    assert list(names.values()) == [
        "twin~0", "twin~1", "twin", "dequantize~3", "product", "add~5",
    ]  # fmt: skip


def test_a_name_that_is_taken_is_made_longer():
    x = Input(TensorType((4,), F32), name="x")
    named = Add(x, x, name="add~1")
    names = value_names(Graph("g", (x,), (("y", Add(named, x)),)))
    assert Counter(names.values()) == {"add~1": 1, "add~1~": 1}


def test_widened_weights_change_no_name():
    wide = with_whole_weights(graph())
    assert len(wide.nodes) < len(graph().nodes)
    assert list(value_names(wide).values()) == list(value_names(graph()).values())
