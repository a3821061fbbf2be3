"""Models that are quantized already keep their scales."""

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from qcompile.frontends.onnx import graph_of
from qcompile.ir.graph import Graph
from qcompile.ir.ops.foreign import Foreign
from qcompile.ir.ops.linear import Conv
from qcompile.ir.ops.quant import FakeQuant, Quantize
from qcompile.ir.ops.source import Const
from qcompile.ir.types import I8, U8
from qcompile.ir.unit import Affine, per_tensor

node = helper.make_node
Same = Callable[..., Graph]
SCALES = np.array([0.02, 0.03], np.float32)
WEIGHTS = {
    "s": np.array(0.05, np.float32), "z": np.array(128, np.uint8),
    "ws": SCALES, "wz": np.zeros(2, np.int8),
    "w": np.arange(-9, 9, dtype=np.int8).reshape(2, 1, 3, 3),
    "bs": SCALES * np.float32(0.05), "b": np.array([1 << 28, -7], np.int32),
}  # fmt: skip


def test_qdq_network_keeps_units(build, same_as_ort: Same) -> None:
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
        node("DequantizeLinear", ["w", "ws", "wz"], ["wd"], axis=0),
        node("DequantizeLinear", ["b", "bs"], ["bd"], axis=0),
        node("Conv", ["xd", "wd", "bd"], ["c"]),
        node("QuantizeLinear", ["c", "s", "z"], ["cq"]),
        node("DequantizeLinear", ["cq", "s", "z"], ["y"]),
    ]
    model = build(nodes, inputs={"x": (1, 1, 5, 5)}, weights=WEIGHTS, opset=13)
    graph = same_as_ort(model)
    match next(n for n in graph.nodes if isinstance(n, Conv)):
        case Conv(x=FakeQuant() as x, w=FakeQuant(x=Const()) as w, bias=Const()):
            assert (x.elem, x.unit) == (U8, per_tensor(float(np.float32(0.05)), 128))
            assert (w.elem, w.unit) == (I8, Affine(tuple(map(float, SCALES)), axis=0))
        case other:
            raise AssertionError(other)


def test_weights_under_fake_quant_are_on_the_grid(build) -> None:
    nodes = [
        node("DequantizeLinear", ["w", "ws", "wz"], ["d"], axis=0),
        node("Add", ["x", "d"], ["y"]),
    ]
    graph = graph_of(build(nodes, inputs={"x": (1,)}, weights=WEIGHTS, opset=13))
    (got,) = graph.run(np.zeros(1, np.float32))
    want = WEIGHTS["w"] * SCALES[:, None, None, None]
    np.testing.assert_array_equal(got, want)


def test_integers_that_anything_else_reads_stay_plain(build, same_as_ort: Same) -> None:
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        node("MaxPool", ["q"], ["p"], kernel_shape=[2, 2]),
        node("DequantizeLinear", ["p", "s", "z"], ["y"]),
    ]
    graph = same_as_ort(build(nodes, inputs={"x": (1, 1, 4, 4)}, weights=WEIGHTS, opset=13))
    assert [n.op for n in graph.nodes if n.op in ("foreign", "max_pool")] == ["foreign", "max_pool"]


def test_an_integer_output(build, same_as_ort: Same) -> None:
    model = build(
        [node("QuantizeLinear", ["x", "s", "z"], ["y"])],
        inputs={"x": (3, 4)}, weights=WEIGHTS, opset=13,
    )  # fmt: skip
    assert isinstance(same_as_ort(model).outputs[0][1], Quantize)


def test_an_integer_input(build) -> None:
    nodes = [node("DequantizeLinear", ["x", "s", "z"], ["y"])]
    model = build(nodes, inputs={"x": (4,)}, weights=WEIGHTS, opset=13, code=TensorProto.UINT8)
    (got,) = graph_of(model).run(np.array([0, 128, 129, 255], np.uint8))
    np.testing.assert_allclose(got, [-6.4, 0, 0.05, 6.35], rtol=1e-6)


def test_qlinear_operators_become_float_ones_between_units(build, same_as_ort: Same) -> None:
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        node("QLinearConv", ["q", "s", "z", "w", "ws", "wz", "s", "z"], ["c"]),
        node("QLinearConv", ["c", "s", "z", "w2", "ws", "wz", "s", "z"], ["d"]),
        node("DequantizeLinear", ["d", "s", "z"], ["y"]),
    ]
    weights = WEIGHTS | {"w2": np.arange(-2, 2, dtype=np.int8).reshape(2, 2, 1, 1)}
    model = build(nodes, inputs={"x": (1, 1, 6, 6)}, weights=weights, opset=13)
    graph = same_as_ort(model, tolerance=0.02)
    assert not any(isinstance(n, Foreign) for n in graph.nodes)
    assert all(isinstance(n.x, FakeQuant) for n in graph.nodes if isinstance(n, Conv))


def test_weights_in_blocks_become_floats(build) -> None:
    weights: dict[str, NDArray[Any]] = {
        "w": np.arange(-8, 8).reshape(8, 2).astype(ml_dtypes.int4),
        "s": np.array([[1, 2], [3, 4]], np.float32),
    }
    nodes = [
        node("DequantizeLinear", ["w", "s"], ["d"], axis=0, block_size=4),
        node("MatMul", ["x", "d"], ["y"]),
    ]
    model: onnx.ModelProto = build(nodes, inputs={"x": (8, 8)}, weights=weights, opset=21)
    (got,) = graph_of(model).run(np.eye(8, dtype=np.float32))
    want = np.arange(-8, 8).reshape(8, 2) * np.repeat(weights["s"], 4, axis=0)
    np.testing.assert_array_equal(got, want)
