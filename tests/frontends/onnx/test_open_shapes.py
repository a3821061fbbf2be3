"""Shape arithmetic is folded when the model is read: to numbers, or to open lengths by name."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from qcompile.errors import BadModel
from qcompile.frontends.onnx import graph_of
from qcompile.ir.dims import Symbol
from qcompile.ir.graph import Graph
from qcompile.ir.ops.foreign import Foreign
from qcompile.ir.ops.shape import Reshape

node = helper.make_node
Same = Callable[..., Graph]
N = Symbol("n")


def int64(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


@pytest.fixture
def flatten(build) -> onnx.ModelProto:
    """x.reshape(x.shape[0], -1), as torch exports it."""
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "zero"], ["n"]),
        node("Unsqueeze", ["n", "first"], ["n1"]),
        node("Concat", ["n1", "minus"], ["to"], axis=0),
        node("Reshape", ["x", "to"], ["y"]),
    ]
    weights = {"zero": np.array(0), "first": int64(0), "minus": int64(-1)}
    return build(nodes, inputs={"x": ("n", 3, 4)}, weights=weights)


def test_open_lengths_keep_their_names(flatten: onnx.ModelProto) -> None:
    (reshape,) = (n for n in graph_of(flatten).nodes if isinstance(n, Reshape))
    assert reshape.shape == (N, 12)


def test_bound_lengths_are_numbers(flatten: onnx.ModelProto, same_as_ort: Same) -> None:
    graph = same_as_ort(flatten, x=(5, 3, 4))
    assert graph.outputs[0][1].type.shape == (5, 12)
    assert [n.op for n in graph.nodes] == ["input", "reshape"]


def test_an_open_graph_runs(flatten: onnx.ModelProto) -> None:
    (got,) = graph_of(flatten).run(np.zeros((7, 3, 4), np.float32))
    assert got.shape == (7, 12)


def test_several_open_lengths(build) -> None:
    """[n, t, 8] → [n, t, 2, 4] → [n, 2, t, 4]."""
    nodes = [
        node("Shape", ["x"], ["s"], end=2),
        node("Concat", ["s", "heads"], ["to"], axis=0),
        node("Reshape", ["x", "to"], ["h"]),
        node("Transpose", ["h"], ["y"], perm=[0, 2, 1, 3]),
    ]
    model = build(nodes, inputs={"x": ("n", "t", 8)}, weights={"heads": int64(2, 4)})
    graph = graph_of(model)
    assert graph.outputs[0][1].type.shape == (N, 2, Symbol("t"), 4)
    assert graph.run(np.zeros((3, 5, 8), np.float32))[0].shape == (3, 2, 5, 4)


@pytest.mark.parametrize(
    ("op", "other", "want"),
    [("Mul", 2, 8), ("Div", 2, 2), ("Add", 3, 7), ("Sub", 3, 1), ("Div", -3, -1), ("Max", 9, 9)],
)
def test_arithmetic_on_lengths(build, op: str, other: int, want: int) -> None:
    nodes = [node("Shape", ["x"], ["s"]), node(op, ["s", "k"], ["y"])]
    model = build(nodes, inputs={"x": (4,)}, weights={"k": int64(other)})
    (result,) = graph_of(model).run(np.zeros(4, np.float32))
    assert result.tolist() == [want]


def test_minus_one_in_an_expanded_shape(build, same_as_ort: Same) -> None:
    """Where(shape == −1, ones, shape), as torch writes `expand`."""
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Equal", ["want", "minus"], ["open"]),
        node("Where", ["open", "ones", "want"], ["to"]),
        node("Expand", ["x", "to"], ["y"]),
    ]
    weights = {"want": int64(5, -1), "minus": int64(-1), "ones": int64(1, 1)}
    graph = same_as_ort(build(nodes, inputs={"x": (1, 3)}, weights=weights))
    assert not any(isinstance(n, Foreign) for n in graph.nodes)


def test_ranges_and_filled_constants(build, same_as_ort: Same) -> None:
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("ConstantOfShape", ["s"], ["zeros"]),
        node("Squeeze", ["s"], ["n"]),
        node("Range", ["zero", "n", "one"], ["r"]),
        node("Cast", ["r"], ["f"], to=TensorProto.FLOAT),
        node("Add", ["f", "zeros"], ["a"]),
        node("Add", ["a", "x"], ["y"]),
    ]
    weights = {"zero": np.array(0), "one": np.array(1)}
    graph = same_as_ort(build(nodes, inputs={"x": (6,)}, weights=weights))
    assert [n.op for n in graph.nodes] == ["input", "const", "add"]


@pytest.mark.parametrize("length", [2, 6])
def test_cut_at_an_open_length(build, length: int) -> None:
    """table[:, :t] of position embeddings has the length t, and is cut when it runs."""
    nodes = [
        node("Shape", ["x"], ["t"], start=1),
        node("Slice", ["table", "zero", "t", "one"], ["p"]),
        node("Add", ["x", "p"], ["y"]),
    ]
    weights = {
        "table": np.arange(8, dtype=np.float32)[None], "zero": int64(0), "one": int64(1),
    }  # fmt: skip
    graph = graph_of(build(nodes, inputs={"x": (1, "t")}, weights=weights))
    assert graph.outputs[0][1].type.shape == (1, Symbol("t"))
    (got,) = graph.run(np.zeros((1, length), np.float32))
    np.testing.assert_array_equal(got[0], np.arange(length))


def test_names_of_values_and_inputs_are_kept(build) -> None:
    nodes = [node("Relu", ["pic"], ["inner"]), node("Sigmoid", ["inner"], ["prob"])]
    graph = graph_of(build(nodes, inputs={"pic": ("n", 3)}, outputs=["prob"]))
    assert [n.name for n in graph.nodes] == ["pic", "inner", "prob"]
    assert graph.outputs[0][0] == "prob"
    assert graph.inputs[0].declared.shape == (N, 3)


def test_nameless_open_lengths_are_named_by_their_place(build) -> None:
    graph = graph_of(build([node("Relu", ["x"], ["y"])], inputs={"x": (None, 3)}))
    assert graph.inputs[0].declared.shape == (Symbol("x.0"), 3)


def test_one_binding_serves_all_inputs(build) -> None:
    model = build([node("Add", ["a", "b"], ["y"])], inputs={"a": ("n", 3), "b": ("n", 3)})
    assert graph_of(model, shapes={"a": (2, 3)}).inputs[1].declared.shape == (2, 3)


def test_the_remedy_names_the_open_lengths(build) -> None:
    model = build([node("Conv", ["x", "x"], ["y"])], inputs={"x": ("n", "c")})
    with pytest.raises(BadModel, match=r"open lengths may be why: bind x \[n, c\]"):
        graph_of(model)
