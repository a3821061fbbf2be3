"""Every way in which a file can be wrong has one sentence."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, external_data_helper, helper, numpy_helper

from qcompile.errors import BadModel, QcompileError, ReadError, UnsupportedOps, UsageError
from qcompile.frontends.onnx import graph_of, read_onnx

node = helper.make_node
W = np.ones((64, 128), np.float32)


@pytest.fixture
def model(build) -> onnx.ModelProto:
    nodes = [node("MatMul", ["x", "w"], ["h"]), node("Relu", ["h"], ["y"])]
    return build(nodes, inputs={"x": ("n", 64)}, weights={"w": W})


def refused(model: onnx.ModelProto, match: str, kind: type[QcompileError] = BadModel) -> None:
    with pytest.raises(kind, match=match):
        graph_of(model)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"none\.onnx is missing"):
        read_onnx(tmp_path / "none.onnx")


def test_folder(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="is a folder"):
        read_onnx(tmp_path)


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9, 0.999])
def test_truncated_file(model: onnx.ModelProto, tmp_path: Path, keep: float) -> None:
    data = model.SerializeToString()
    (tmp_path / "m.onnx").write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(BadModel, match="cut short"):
        read_onnx(tmp_path / "m.onnx")


@pytest.mark.parametrize("content", [b"hello, this is no model\n", b"{}", b"PK\x03\x04" * 99])
def test_another_kind_of_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(BadModel, match="another kind of file"):
        read_onnx(tmp_path / "m.onnx")


def test_dangling_input(model: onnx.ModelProto) -> None:
    model.graph.node[1].input[0] = "ghost"
    refused(model, "Relu 'y' reads 'ghost', which is no input")


def test_dangling_output(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = "ghost"
    refused(model, "output 'ghost' is computed by no node")


def test_cycle(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = "y"
    refused(model, "cycle through Relu 'y'|cycle through MatMul 'h'")


def test_self_loop(model: onnx.ModelProto) -> None:
    model.graph.node[1].input[0] = "y"
    refused(model, "cycle through Relu 'y'")


def test_nodes_in_another_order_are_read(model: onnx.ModelProto) -> None:
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(reversed(nodes))
    assert graph_of(model).outputs[0][1].op == "relu"


def test_two_values_of_one_name(model: onnx.ModelProto) -> None:
    model.graph.node[1].output[0] = "h"
    refused(model, "two values are named 'h'")


def test_a_value_named_as_an_input(model: onnx.ModelProto) -> None:
    model.graph.node[0].output[0] = "x"
    refused(model, "two values are named 'x'")


def test_two_initializers_of_one_name(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(model.graph.initializer[0])
    refused(model, "two initializers are named 'w'")


@pytest.mark.parametrize("code", [0, 99, TensorProto.STRING, TensorProto.COMPLEX64])
def test_element_type_of_a_weight(model: onnx.ModelProto, code: int) -> None:
    model.graph.initializer[0].data_type = code
    refused(model, "tensor 'w': element type .* is not supported")


def test_too_few_bytes(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[0] = 65
    refused(model, r"tensor 'w': f32\[65, 128\] needs 33280 bytes, the file has 32768")


def test_negative_length_of_a_weight(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[0] = -64
    refused(model, "tensor 'w' has the shape")


@pytest.mark.parametrize("opset", [1, 5, 1000])
def test_opset(model: onnx.ModelProto, opset: int) -> None:
    model.opset_import[0].version = opset
    refused(model, f"opset {opset} is not supported: convert the model")


def test_no_opset(model: onnx.ModelProto) -> None:
    del model.opset_import[:]
    refused(model, "opset 1 is not supported")


def _external(model: onnx.ModelProto, **where: Any) -> None:
    tensor = model.graph.initializer[0]
    external_data_helper.set_external_data(tensor, **where)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL


def test_missing_external_data(model: onnx.ModelProto, tmp_path: Path) -> None:
    _external(model, location="w.bin")
    with pytest.raises(BadModel, match=r"tensor 'w': data file .*w\.bin is missing: put it beside"):
        graph_of(model, folder=tmp_path)


@pytest.mark.parametrize("where", [{"length": W.nbytes}, {"offset": 4}, {"offset": 1 << 40}, {}])
def test_short_external_data(model: onnx.ModelProto, tmp_path: Path, where: dict) -> None:
    _external(model, location="w.bin", **where)
    (tmp_path / "w.bin").write_bytes(bytes(W.nbytes - 1))
    with pytest.raises(BadModel, match=r"needs bytes .* which has 32767: copy the data file again"):
        graph_of(model, folder=tmp_path)


def test_external_data_without_a_folder(model: onnx.ModelProto) -> None:
    _external(model, location="w.bin")
    refused(model, "the model has no folder")


def test_length_zero_of_an_input(build) -> None:
    model = build([node("Relu", ["x"], ["y"])], inputs={"x": (0, 3)})
    refused(model, "input 'x' has a length below 1 .* bind it with --input-shape x=")


def test_input_without_a_shape(build) -> None:
    model = build([node("Relu", ["x"], ["y"])], inputs={"x": None})
    refused(model, "input 'x' has no shape: bind it")
    assert graph_of(model, shapes={"x": (2, 3)}).outputs[0][1].type.shape == (2, 3)


@pytest.mark.parametrize(
    ("shapes", "match"),
    [
        ({"z": (1,)}, "no input named 'z' to give a shape: the inputs are x"),
        ({"x": (1, 2, 3)}, r"shape \[1, 2, 3\] for input 'x' of rank 2"),
        ({"x": (1, 63)}, "which has 64 for 63"),
    ],
)
def test_shapes_that_do_not_fit(model: onnx.ModelProto, shapes: dict, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        graph_of(model, shapes=shapes)


def test_two_bindings_of_one_dimension(build) -> None:
    model = build([node("Add", ["a", "b"], ["y"])], inputs={"a": ("n", 3), "b": ("n", 3)})
    with pytest.raises(UsageError, match="dimension n is bound to 2 and to 4"):
        graph_of(model, shapes={"a": (2, 3), "b": (4, 3)})


def test_unknown_operators_are_named_all_at_once(build) -> None:
    nodes = [node("Foo", ["x"], ["a"], domain="me"), node("Foo", ["a"], ["b"], domain="me")]
    model = build([*nodes, node("Bar", ["b"], ["y"])], inputs={"x": (1,)})
    refused(model, r"me::Foo \(2\), Bar \(1\)", UnsupportedOps)


def test_shapes_that_contradict(build) -> None:
    model = build([node("MatMul", ["a", "b"], ["y"])], inputs={"a": (2, 3), "b": (4, 5)})
    refused(model, "MatMul 'y': .*contracts 3 with 4")


@pytest.mark.parametrize(
    ("attributes", "match"),
    [
        ({"axis": 7}, "Softmax 'y': axis 7 of a tensor of rank 2"),
        ({"axis": 1.0}, "attribute axis is FLOAT, wants INT"),
    ],
)
def test_attributes(build, attributes: dict, match: str) -> None:
    refused(build([node("Softmax", ["x"], ["y"], **attributes)], inputs={"x": (1, 2)}), match)


@pytest.mark.parametrize(
    "proto",
    [
        node("Conv", ["x", "w"], ["y"], strides=[0, 0]),
        node("Conv", ["x", "w"], ["y"], pads=[1]),
        node("Conv", ["x", "w"], ["y"], group=3),
        node("Conv", ["x"], ["y"]),
        node("MaxPool", ["x"], ["y"]),
        node("MaxPool", ["x"], ["y"], kernel_shape=[9, 9]),
        node("Transpose", ["x"], ["y"], perm=[0, 0, 1, 2]),
        node("Transpose", ["x"], ["y"], perm=[9]),
        node("Concat", ["x", "x"], ["y"], axis=5),
        node("Concat", [], ["y"], axis=0),
        node("Reshape", ["x", "w"], ["y"]),
        node("Flatten", ["x"], ["y"], axis=9),
        node("DepthToSpace", ["x"], ["y"], blocksize=0),
        node("LRN", ["x"], ["y"]),
        node("Split", ["x"], ["y", "z", "t"], axis=1),
        node("Cast", ["x"], ["y"], to=77),
        node("Relu", ["x"], ["z", "y"]),
        node("Gemm", ["x", "x"], ["y"]),
        node("BatchNormalization", ["x", "w", "w", "w", "w"], ["y"]),
        node("If", ["x"], ["y"]),
        node("ReduceSum", ["x", "w"], ["y"]),
        node("Einsum", ["x"], ["y"], equation="ab->a"),
    ],
    ids=lambda p: "-".join([p.op_type, *p.input, *(a.name + str(a.ints) for a in p.attribute)]),
)
def test_malformed_nodes_are_the_models_fault(build, proto: onnx.NodeProto) -> None:
    proto.name = proto.op_type + "_"
    weights = {"w": np.ones((2, 2, 1, 1), np.float32)}
    model = build([proto], inputs={"x": (1, 2, 4, 4)}, weights=weights, opset=13)
    with pytest.raises(QcompileError):
        graph_of(model)


@pytest.mark.parametrize("seed", range(4))
def test_mutated_files_give_no_other_error(build, tmp_path: Path, seed: int) -> None:
    """Flipped bytes: a graph, or our own error."""
    nodes = [
        node("Conv", ["x", "k", "c"], ["a"], pads=[1, 1, 1, 1], strides=[2, 2]),
        node("Relu", ["a"], ["b"]),
        node("MaxPool", ["b"], ["d"], kernel_shape=[2, 2], auto_pad="SAME_UPPER"),
        node("Shape", ["d"], ["s"]),
        node("Gather", ["s", "zero"], ["n"], axis=0),
        node("Unsqueeze", ["n", "axes"], ["n1"]),
        node("Concat", ["n1", "minus"], ["to"], axis=0),
        node("Reshape", ["d", "to"], ["f"]),
        node("Gemm", ["f", "w"], ["g"], alpha=0.5),
        node("Softmax", ["g"], ["y"], axis=-1),
        node("CumSum", ["y", "zero"], ["z"]),
    ]
    weights = {
        "k": np.ones((2, 1, 3, 3), np.float32), "c": np.zeros(2, np.float32),
        "zero": np.array(0, np.int64), "axes": np.array([0]), "minus": np.array([-1]),
        "w": np.ones((8, 3), np.float32),
    }  # fmt: skip
    model = build(nodes, inputs={"x": (1, 1, 8, 8)}, outputs=["y", "z"], weights=weights)
    data = np.frombuffer(model.SerializeToString(), np.uint8)
    source = np.random.default_rng(seed)
    for _ in range(75):
        mutant = data.copy()
        places = source.integers(0, data.size, source.integers(1, 4))
        mutant[places] = source.integers(0, 256, places.size)
        (tmp_path / "m.onnx").write_bytes(mutant.tobytes())
        with suppress(QcompileError):
            read_onnx(tmp_path / "m.onnx")


def test_typed_values_that_are_too_few(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].CopyFrom(
        TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[64, 128], float_data=[1.0])
    )
    refused(model, r"needs 8192 values, the file has 1")


def test_sparse_places_outside(build) -> None:
    model = build([node("Add", ["x", "w"], ["y"])], inputs={"x": (2,)})
    values = numpy_helper.from_array(np.array([5], np.float32), "w")
    places = numpy_helper.from_array(np.array([9], np.int64), "p")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [2]))
    refused(model, "tensor 'w': a place lies outside")
