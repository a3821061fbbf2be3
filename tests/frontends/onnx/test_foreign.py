"""Operators without an op: typed when the model is read, run by onnxruntime."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from qcompile.frontends.onnx import graph_of
from qcompile.ir.dims import Symbol
from qcompile.ir.graph import Graph
from qcompile.ir.ops.foreign import Foreign

node = helper.make_node
Same = Callable[..., Graph]


def foreigners(graph: Graph) -> list[Foreign]:
    return [n for n in graph.nodes if isinstance(n, Foreign)]


def value(name: str, *shape: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


@pytest.mark.parametrize(
    "proto",
    [
        node("LpNormalization", ["x"], ["y"]),
        node("Einsum", ["x"], ["y"], equation="iji->ij"),
        node("Tan", ["x"], ["y"]),
        node("Hardmax", ["x"], ["y"]),
    ],
    ids=lambda p: p.op_type,
)
def test_equals_onnxruntime(build, same_as_ort: Same, proto: onnx.NodeProto) -> None:
    graph = same_as_ort(build([proto], inputs={"x": (2, 3, 2)}))
    assert [n.op_type for n in foreigners(graph)] == [proto.op_type]


def test_results_share_one_runner(build, same_as_ort: Same) -> None:
    proto = node("TopK", ["x", "k"], ["y", "places"], axis=1)
    model = build(
        [proto], inputs={"x": (2, 20)}, outputs=["y", "places"], weights={"k": np.array([17])}
    )
    first, second = foreigners(same_as_ort(model))
    assert first.runner is second.runner
    assert [str(t) for t in first.results] == ["f32[2, 17]", "i64[2, 17]"]


def test_open_lengths_pass_through(build) -> None:
    model = build([node("Tan", ["x"], ["y"])], inputs={"x": ("n", 3)})
    (tan,) = foreigners(graph_of(model))
    assert tan.type.shape == (Symbol("n"), 3)


def test_lstm_with_absent_operands_and_results(build, same_as_ort: Same) -> None:
    source = np.random.default_rng(0)
    weights = {
        "w": source.standard_normal((1, 16, 3)).astype(np.float32),
        "r": source.standard_normal((1, 16, 4)).astype(np.float32),
        "h": source.standard_normal((1, 2, 4)).astype(np.float32),
    }
    proto = node("LSTM", ["x", "w", "r", "", "", "h"], ["", "last"], hidden_size=4)
    same_as_ort(build([proto], inputs={"x": (5, 2, 3)}, outputs=["last"], weights=weights))


def test_branches_read_values_from_outside(build, same_as_ort: Same) -> None:
    then = helper.make_graph([node("Add", ["h", "w"], ["t"])], "then", [], [value("t", 3)])
    other = helper.make_graph([node("Neg", ["h"], ["e"])], "else", [], [value("e", 3)])
    nodes = [
        node("Relu", ["x"], ["h"]),
        node("ReduceSum", ["x"], ["sum"], keepdims=0),
        node("Greater", ["sum", "zero"], ["positive"]),
        node("If", ["positive"], ["y"], then_branch=then, else_branch=other),
    ]
    weights = {"zero": np.array(0, np.float32), "w": np.arange(3, dtype=np.float32)}
    graph = same_as_ort(build(nodes, inputs={"x": (3,)}, weights=weights))
    assert foreigners(graph)[0].names == ("positive", "h", "w")


def test_a_constant_condition_chooses_its_branch(build, same_as_ort: Same) -> None:
    then = helper.make_graph([node("Relu", ["x"], ["t"])], "then", [], [value("t", 3)])
    other = helper.make_graph([node("Neg", ["x"], ["e"])], "else", [], [value("e", 3)])
    proto = node("If", ["yes"], ["y"], then_branch=then, else_branch=other)
    model = build([proto], inputs={"x": (3,)}, weights={"yes": np.array(True)})
    assert [n.op for n in same_as_ort(model).nodes] == ["input", "relu"]


def test_a_contributed_operator_is_typed_by_one_run(build) -> None:
    proto = node("CDist", ["x", "w"], ["y"], domain="com.microsoft", metric="euclidean")
    weights = {"w": np.ones((4, 6), np.float32)}
    model = build([proto], inputs={"x": ("n", 6)}, weights=weights)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    (distance,) = foreigners(graph_of(model))
    assert distance.title == "com.microsoft::CDist"
    assert distance.type.shape == (Symbol("n"), 4)
    (got,) = graph_of(model).run(np.zeros((2, 6), np.float32))
    np.testing.assert_allclose(got, np.full((2, 4), 6**0.5), rtol=1e-6)


def test_local_functions_are_inlined(build, same_as_ort: Same) -> None:
    body = [node("Add", ["a", "a"], ["t"]), node("Relu", ["t"], ["b"])]
    opsets = [helper.make_opsetid("", 17)]
    twice = helper.make_function("my", "Twice", ["a"], ["b"], body, opsets)
    nodes = [node("Twice", ["x"], ["h"], domain="my"), node("Add", ["h", "w"], ["y"])]
    model = build(nodes, inputs={"x": (3,)}, weights={"w": np.ones(3, np.float32)})
    model.functions.append(twice)
    model.opset_import.append(helper.make_opsetid("my", 1))
    assert [n.op for n in same_as_ort(model).nodes] == ["input", "add", "relu", "const", "add"]


def test_a_shape_that_is_an_input_stays_open(build) -> None:
    model = build([node("Reshape", ["x", "to"], ["y"])], inputs={"x": (2, 6)})
    model.graph.input.append(helper.make_tensor_value_info("to", TensorProto.INT64, [3]))
    (got,) = graph_of(model).run(np.zeros((2, 6), np.float32), np.array([3, 2, 2]))
    assert got.shape == (3, 2, 2)


def test_random_operators_are_not_folded(build) -> None:
    nodes = [node("RandomNormal", [], ["r"], shape=[3]), node("Add", ["x", "r"], ["y"])]
    assert len(foreigners(graph_of(build(nodes, inputs={"x": (3,)})))) == 1


def test_small_foreign_values_of_constants_are_folded(build) -> None:
    nodes = [node("Tan", ["w"], ["c"]), node("Add", ["x", "c"], ["y"])]
    weights = {"w": np.ones(3, np.float32)}
    graph = graph_of(build(nodes, inputs={"x": (3,)}, weights=weights))
    assert [n.op for n in graph.nodes] == ["input", "const", "add"]
