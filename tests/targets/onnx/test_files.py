"""Files: the same bytes each time, weights beside the model when they are large, old versions."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from qcompile.errors import ArtifactError, UsageError
from qcompile.ir.blob import Blob
from qcompile.ir.graph import Graph
from qcompile.ir.ops.integer import requantize
from qcompile.ir.ops.linear import Conv, MatMul
from qcompile.ir.ops.pointwise import Relu
from qcompile.ir.ops.quant import Quantize
from qcompile.ir.ops.source import Const, const
from qcompile.ir.types import F32, I8, U8
from qcompile.ir.unit import per_tensor
from qcompile.targets.onnx import OnnxProgram, emit_integer, to_onnx, value_names
from qcompile.targets.onnx import files as onnx_files
from qcompile.targets.onnx.emit import HANDLERS
from qcompile.targets.onnx.model import Writer
from tests.targets.onnx.checks import bias, feed, graph_of, ints, reals, weights


def _network() -> Graph:
    rng = np.random.default_rng(0)
    x = Quantize(reals(1, 3, 12, 12), U8, per_tensor(0.05, 128), name="q")
    w = weights(rng, 64, 3, 3, 3, axis=0)
    conv = Conv(x, w, bias(rng, Conv(x, w).type.unit), name="conv")
    return graph_of(requantize(conv, I8, per_tensor(0.3, -4), name="conv"))


def _writer(graph: Graph, opset: int = 14) -> Writer:
    writer = Writer(graph, opset=opset, handlers=HANDLERS)
    writer.write()
    return writer


def test_same_bytes_every_time(tmp_path):
    paths = [emit_integer(_network(), tmp_path / str(i)).paths[0] for i in range(2)]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_the_streamed_file_is_the_model(tmp_path):
    path = emit_integer(_network(), tmp_path).paths[0]
    model = onnx.load(str(path))
    onnx.checker.check_model(model, full_check=True)
    assert model == to_onnx(_network())


def test_weights_beside_the_model(tmp_path):
    graph = _network()
    paths = onnx_files.save(_writer(graph), tmp_path, "m", limit=1000).paths
    assert [p.name for p in paths] == ["m.onnx", "m.onnx.data"]
    assert paths[0].stat().st_size < 6000
    onnx.checker.check_model(str(paths[0]), full_check=True)
    given = feed(graph)
    got = OnnxProgram(paths[0]).run(given, layers=["conv"])
    assert np.array_equal(got["y0"], graph.run(given["x"])[0])
    assert got["conv"].dtype == np.int32


@pytest.mark.parametrize("limit", [1000, 1 << 20], ids=["beside", "inside"])
def test_where_each_weight_lies_is_told(tmp_path, limit: int):
    writer = _writer(_network())
    saved = onnx_files.save(writer, tmp_path, "m", limit=limit)
    found = {n: (tmp_path / file).read_bytes()[at:] for n, (file, at) in saved.places.items()}
    assert found.keys() == {tensor.name for tensor in writer.stored}
    assert all(found[t.name].startswith(t.load().tobytes()) for t in writer.stored)


def test_each_weight_is_loaded_alone(tmp_path):
    alive: list[int] = []

    def load() -> np.ndarray:
        alive.append(1)
        return np.ones((64, 64), np.float32)

    x = reals(1, 64)
    parts = [Const(Blob((64, 64), np.dtype(np.float32), load), F32, name=f"w{i}") for i in range(3)]
    graph = graph_of(*(MatMul(x, w) for w in parts))
    writer = _writer(graph)
    assert alive == []
    onnx_files.save(writer, tmp_path, "m", limit=0)
    assert len(alive) == 3


def test_the_lowest_versions_that_express_it():
    model = to_onnx(graph_of(Relu(reals(3))))
    assert (model.opset_import[0].version, model.ir_version) == (13, 7)


def test_layers_by_name(tmp_path):
    graph = _network()
    program = OnnxProgram(emit_integer(graph, tmp_path).paths[0])
    names = list(value_names(graph).values())
    assert [n for n in names if n in program.layers] == ["q", "conv", "conv_1"]
    given = feed(graph)
    traced = program.run(given, layers=["q", "conv", "conv_1"])
    wanted = dict(graph.values([given["x"]], keep=graph.nodes))
    computed = {n: v for n, v in wanted.items() if n.operands}
    assert all(np.array_equal(traced[value_names(graph)[n]], v) for n, v in computed.items())


def test_an_unknown_layer_is_named(tmp_path):
    program = OnnxProgram(emit_integer(_network(), tmp_path).paths[0])
    with pytest.raises(UsageError, match="no layers"):
        program.run({}, layers=["nowhere"])


def test_a_missing_input_is_named(tmp_path):
    program = OnnxProgram(emit_integer(_network(), tmp_path).paths[0])
    with pytest.raises(UsageError, match="missing"):
        program.run({})


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ArtifactError, match="no such model file"):
        OnnxProgram(tmp_path / "none.onnx")


def test_one_node_under_two_output_names(tmp_path):
    x = ints("u8", 4)
    y = Relu(x, name="b")
    graph = Graph("g", (x,), (("a", y), ("b", y), ("c", x), ("d", const(np.arange(3)))))
    given = feed(graph)
    got = OnnxProgram(emit_integer(graph, tmp_path).paths[0]).run(given)
    assert list(got) == ["a", "b", "c", "d"]
    assert np.array_equal(got["c"], given["x"])


def test_names_are_made_unique():
    x = reals(3)
    first = Relu(x, name="y0")
    graph = graph_of(Relu(first, name="x"), Relu(first, name="x"))
    assert list(value_names(graph).values()) == ["x", "y0_1", "x_1", "x_2"]
