"""The Q/DQ form: the fake-quantized graph, and in the shape that engines fuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.pointwise import Relu
from qcompile.ir.ops.quant import FakeQuant
from qcompile.ir.ops.shape import Reshape
from qcompile.ir.ops.source import const
from qcompile.ir.types import I8, U8, Scalar
from qcompile.ir.unit import Affine, per_tensor
from qcompile.targets.onnx import emit_qdq, emit_qdq_for_tensorrt
from tests.targets.onnx.checks import feed, graph_of, qdq_output, reals

OUT = 0.25


def _weight(rng: np.random.Generator, *shape: int, axis: int, elem: str = "i8") -> FakeQuant:
    values = rng.normal(0, 0.2, shape).astype(np.float32)
    kind = Scalar(elem)
    rest = tuple(i for i in range(len(shape)) if i != axis)
    scale = tuple(float(np.float32(s)) for s in np.abs(values).max(rest) / kind.hi)
    return FakeQuant(const(values, name="w"), kind, Affine(scale, axis=axis), name="wq")


def _float(rng: np.random.Generator, count: int) -> Node:
    return const(rng.normal(0, 1, count).astype(np.float32), name="b")


def _conv(activation: Scalar, zero: int, elem: str = "i8") -> Graph:
    rng = np.random.default_rng(0)
    x = FakeQuant(reals(1, 3, 9, 9), activation, per_tensor(0.05, zero), name="xq")
    w = _weight(rng, 8, 3, 3, 3, axis=0, elem=elem)
    y = Relu(Conv(x, w, _float(rng, 8), pads=(1, 1, 1, 1), name="conv"))
    return graph_of(FakeQuant(y, activation, per_tensor(OUT, activation.lo), name="yq"))


def _matmul() -> Graph:
    rng = np.random.default_rng(0)
    x = FakeQuant(reals(4, 24), U8, per_tensor(0.05, 128))
    y = MatMul(x, _weight(rng, 24, 7, axis=1), _float(rng, 7))
    return graph_of(FakeQuant(y, U8, per_tensor(OUT, 128)))


def _transposed() -> Graph:
    rng = np.random.default_rng(0)
    x = FakeQuant(reals(1, 4, 5, 5), I8, per_tensor(0.05))
    w = _weight(rng, 4, 3, 2, 2, axis=1)
    y = ConvTranspose(x, w, _float(rng, 6), stride=(2, 2), groups=2)
    return graph_of(FakeQuant(y, I8, per_tensor(OUT)))


GRAPHS: dict[str, Graph] = {
    "conv u8": _conv(U8, 128),
    "conv i8": _conv(I8, 0),
    "conv u4": _conv(Scalar("u4"), 8),
    "conv i16": _conv(Scalar("i16"), 0),
    "conv of 4-bit weights": _conv(U8, 128, "i4"),
    "matmul": _matmul(),
    "transposed": _transposed(),
}


@pytest.mark.parametrize("optimize", [True, False])
@pytest.mark.parametrize("form", GRAPHS)
def test_within_one_step_of_the_fake_quantized_graph(form: str, optimize: bool):
    graph = GRAPHS[form]
    given = feed(graph)
    (wanted,) = graph.run(given["x"])
    got = qdq_output(graph, given, optimize=optimize)["y0"]
    steps = np.abs(got.astype(np.float64) - wanted) / OUT
    assert steps.max() <= 1.01
    assert (steps > 0.5).mean() < 0.02


def _kinds(graph: Graph, tmp_path: Any) -> onnx.GraphProto:
    return onnx.load(str(emit_qdq(graph, tmp_path).paths[0])).graph


def test_weights_and_biases_are_stored_as_integers(tmp_path):
    stored = {t.name: t.data_type for t in _kinds(_conv(U8, 128), tmp_path).initializer}
    assert stored["wq~q"] == onnx.TensorProto.INT8
    assert sorted(stored.values()).count(onnx.TensorProto.INT32) == 2  # the bias, its zero points


def test_one_pair_on_each_edge(tmp_path):
    nodes = [n.op_type for n in _kinds(_conv(U8, 128), tmp_path).node]
    assert nodes.count("QuantizeLinear") == 2
    assert nodes.count("DequantizeLinear") == 4
    assert "Clip" not in nodes


def test_onnxruntime_fuses_the_form(tmp_path):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "fused.onnx")
    path = emit_qdq(_conv(U8, 128), tmp_path).paths[0]
    ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    fused = [n.op_type for n in onnx.load(str(tmp_path / "fused.onnx")).graph.node]
    assert "QLinearConv" in fused
    assert "Conv" not in fused


def _two_layers() -> Graph:
    """Two weights of one shape and no zero points; a matrix product behind a reshape."""
    rng = np.random.default_rng(0)
    value: Node = FakeQuant(reals(1, 4, 6, 6), U8, per_tensor(0.05, 128))
    for _ in range(2):
        w = _weight(rng, 4, 4, 3, 3, axis=0)
        conv = Conv(value, w, _float(rng, 4), pads=(1, 1, 1, 1))
        value = FakeQuant(conv, U8, per_tensor(OUT, 128))
    flat = Reshape(value, (1, 144))
    return graph_of(MatMul(flat, _weight(rng, 144, 7, axis=1), _float(rng, 7), name="head"))


def test_layers_with_equal_zero_points_load_with_safe_products():
    graph = _two_layers()
    given = feed(graph)
    (wanted,) = graph.run(given["x"])
    got = qdq_output(graph, given, optimize=True)["y0"]
    np.testing.assert_allclose(got, wanted, atol=OUT)


def test_a_bias_behind_a_reshape_is_stored_as_integers(tmp_path):
    kinds = [t.data_type for t in _kinds(_two_layers(), tmp_path).initializer if t.dims == [7]]
    assert kinds.count(onnx.TensorProto.INT32) == 2  # the bias, its zero points


def test_float_biases_for_tensorrt(tmp_path):
    model = onnx.load(str(emit_qdq_for_tensorrt(_conv(I8, 0), tmp_path).paths[0]))
    kinds = {t.data_type for t in model.graph.initializer}
    assert kinds == {onnx.TensorProto.INT8, onnx.TensorProto.FLOAT}


def test_weights_in_groups_are_stored_as_bytes_of_their_channels(tmp_path):
    rng = np.random.default_rng(0)
    unit = Affine((0.01, 0.02), axis=1, group=8, steps=bytes([1, 16, 5, 9]))
    w = const(rng.normal(0, 0.3, (16, 2)).astype(np.float32), name="w")
    held = FakeQuant(w, Scalar("i4"), unit, name="w.held")
    stored = _kinds(graph_of(MatMul(reals(4, 16), held, name="y")), tmp_path).initializer
    (whole,) = (numpy_helper.to_array(t) for t in stored if t.dims == [16, 2])
    assert whole.dtype == np.int8
    snapped = whole.astype(np.float32) * np.array([0.01, 0.02], np.float32)
    np.testing.assert_array_equal(snapped, held.evaluate(w.array))
