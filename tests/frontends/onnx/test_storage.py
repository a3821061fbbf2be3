"""Where weights lie: in the message, in the file, beside it; packed, typed, sparse."""

import os
import resource
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, external_data_helper, helper, numpy_helper

from qcompile.errors import BadModel
from qcompile.frontends.onnx import graph_of, read_onnx
from qcompile.frontends.onnx_tensor import constant

node = helper.make_node
BIG = np.arange(3 * 20_000, dtype=np.float32).reshape(3, 20_000)


@pytest.fixture
def model(build) -> onnx.ModelProto:
    return build([node("MatMul", ["x", "w"], ["y"])], inputs={"x": (2, 3)}, weights={"w": BIG})


def _product(path: Path) -> None:
    x = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(read_onnx(path).run(x)[0], x @ BIG)


def test_weights_inside_the_file_are_mapped(model: onnx.ModelProto, tmp_path: Path) -> None:
    onnx.save(model, tmp_path / "m.onnx")
    (weight,) = read_onnx(tmp_path / "m.onnx").constants
    assert isinstance(weight.array.base, np.memmap)
    _product(tmp_path / "m.onnx")


def test_external_weights_are_mapped(model: onnx.ModelProto, tmp_path: Path) -> None:
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="w.bin")
    (weight,) = read_onnx(tmp_path / "m.onnx").constants
    assert isinstance(weight.array.base, np.memmap)
    _product(tmp_path / "m.onnx")


def test_import_reads_no_external_weight(build, tmp_path: Path) -> None:
    """Four sparse gigabytes: holes in the file, which would fill memory if they were read."""
    weight = TensorProto(
        name="w", data_type=TensorProto.FLOAT, dims=[1 << 15, 1 << 15], raw_data=b""
    )
    external_data_helper.set_external_data(weight, "w.bin", length=1 << 32)
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    model = build([node("MatMul", ["x", "w"], ["y"])], inputs={"x": (2, 1 << 15)})
    model.graph.initializer.append(weight)
    onnx.save(model, tmp_path / "m.onnx")
    with (tmp_path / "w.bin").open("wb") as file:
        os.truncate(file.fileno(), 1 << 32)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (constant_node,) = read_onnx(tmp_path / "m.onnx").constants
    assert constant_node.data.nbytes == 1 << 32
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


def test_a_file_above_2_gb_is_read(model: onnx.ModelProto, tmp_path: Path) -> None:
    """Protobuf itself refuses it. The weight is a hole of zeros inside the file."""
    path, length = tmp_path / "m.onnx", 9 << 28
    columns = length // 12
    model.graph.ClearField("initializer")
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[3, columns])
    length = 12 * columns
    head = tensor.SerializeToString() + b"\x4a" + _varint(length)
    outer = b"\x2a" + _varint(len(head) + length) + head
    graph = model.graph.SerializeToString()
    model.ClearField("graph")
    front = model.SerializeToString() + b"\x3a" + _varint(len(graph) + len(outer) + length)
    path.write_bytes(front + graph + outer)
    os.truncate(path, path.stat().st_size + length)
    (weight,) = read_onnx(path).constants
    assert weight.data.shape == (3, columns)
    assert not weight.array[:, -1].any()


def _varint(value: int) -> bytes:
    low = value & 0x7F
    return bytes([low]) if value < 128 else bytes([low | 0x80]) + _varint(value >> 7)


@pytest.mark.parametrize(
    ("code", "elem", "values"),
    [
        (TensorProto.FLOAT16, "f16", np.array([0.5, -2], np.float16)),
        (TensorProto.BFLOAT16, "bf16", np.array([0.5, -2], ml_dtypes.bfloat16)),
        (TensorProto.FLOAT8E4M3FN, "f8e4m3", np.array([0.5, -2], ml_dtypes.float8_e4m3fn)),
        (TensorProto.FLOAT8E5M2, "f8e5m2", np.array([0.5, -2], ml_dtypes.float8_e5m2)),
        (TensorProto.INT4, "i4", np.array([-8, 7, 3], ml_dtypes.int4)),
        (TensorProto.UINT4, "u4", np.array([15, 0, 9], ml_dtypes.uint4)),
        (TensorProto.FLOAT4E2M1, "f4e2m1", np.array([6, -0.5, 1], ml_dtypes.float4_e2m1fn)),
        (TensorProto.INT2, "i2", np.array([-2, 1, 0, -1, 1], ml_dtypes.int2)),
        (TensorProto.BOOL, "bool", np.array([True, False])),
        (TensorProto.UINT64, "u64", np.array([1 << 63, 2], np.uint64)),
        (TensorProto.DOUBLE, "f64", np.array([0.1, 0.2])),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
@pytest.mark.parametrize("raw", [True, False], ids=["raw", "typed"])
def test_element_types(code: int, elem: str, values: np.ndarray, raw: bool) -> None:
    tensor = numpy_helper.from_array(values, "w")
    if not raw:
        tensor = helper.make_tensor("w", code, values.shape, values.astype(np.float64 if
            values.dtype.kind not in "iub" else values.dtype).tolist())  # fmt: skip
    found = constant(tensor, folder=None, name="w")
    assert found.elem.name == elem
    np.testing.assert_array_equal(found.array.astype(np.float64), values.astype(np.float64))


def test_packed_external_weights(tmp_path: Path) -> None:
    tensor = numpy_helper.from_array(np.array([-8, 7, 3], ml_dtypes.int4), "w")
    external_data_helper.set_external_data(tensor, "w.bin", offset=1)
    (tmp_path / "w.bin").write_bytes(b"\0" + tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    found = constant(tensor, folder=tmp_path, name="w")
    np.testing.assert_array_equal(found.array, np.array([-8, 7, 3], np.int8))


def test_sparse_weights(build) -> None:
    model = build([node("Add", ["x", "w"], ["y"])], inputs={"x": (2, 3)})
    values = numpy_helper.from_array(np.array([5, 6], np.float32), "w")
    places = numpy_helper.from_array(np.array([[0, 2], [1, 0]], np.int64), "places")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [2, 3]))
    (got,) = graph_of(model).run(np.zeros((2, 3), np.float32))
    np.testing.assert_array_equal(got, [[0, 0, 5], [6, 0, 0]])


def test_repeated_weights_need_no_memory(build) -> None:
    value = numpy_helper.from_array(np.array([0.02], np.float32))
    model = build(
        [node("ConstantOfShape", ["s"], ["w"], value=value), node("MatMul", ["x", "w"], ["y"])],
        inputs={"x": (1, 1 << 20)}, weights={"s": np.array([1 << 20, 1 << 10])},
    )  # fmt: skip
    (weight,) = graph_of(model).constants
    assert weight.data.nbytes == 1 << 32
    assert weight.array.strides == (0, 0)


def test_weights_of_another_folder_are_refused(model: onnx.ModelProto, tmp_path: Path) -> None:
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="w.bin")
    changed = onnx.load(tmp_path / "m.onnx", load_external_data=False)
    changed.graph.initializer[0].external_data[0].value = "../w.bin"
    with pytest.raises(BadModel, match="must lie beside the model"):
        graph_of(changed, folder=tmp_path)
