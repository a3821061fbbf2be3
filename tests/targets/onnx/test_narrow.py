"""Narrow constants in ONNX: packed in the file, the same bits in onnxruntime, found again there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from qcompile.ir.node import Node
from qcompile.ir.ops.integer import ExpandGroups
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.quant import Dequantize, FakeQuant
from qcompile.ir.ops.shape import Gather
from qcompile.ir.ops.source import Const, Input, const
from qcompile.ir.types import Scalar, TensorType
from qcompile.ir.unit import Affine
from qcompile.program.graph_file import read_graph, write_graph
from qcompile.program.kept import holds
from qcompile.targets.onnx import OnnxProgram, emit_integer, emit_qdq
from qcompile.targets.onnx.qdq import with_stored_weights
from tests.targets.onnx.checks import feed, graph_of, ints, reals, same_bits, weights

WIDTHS = ("i2", "i3", "i4", "i5", "i6", "i7", "u4", "u3")
RNG = np.random.default_rng(0)


def narrow(*shape: int, elem: str = "i4", axis: int | None = None) -> Const:
    return weights(RNG, *shape, elem=elem, axis=axis)


def grouped(*shape: int, axis: int, group: int) -> Const:
    """4-bit weights whose groups have steps of 1 to 16."""
    plain = narrow(*shape, axis=axis)
    assert plain.type.unit is not None
    runs = -(-plain.data.size // shape[axis] // group)
    steps = RNG.integers(1, 17, shape[axis] * runs, dtype=np.uint8).tobytes()
    unit = Affine(plain.type.unit.scale, axis=axis, group=group, steps=steps)
    return const(plain.array, elem=plain.elem, unit=unit, name="w")


IMAGE, ROWS, REALS = ints("u8", 1, 32, 6, 6, zero=7), ints("u8", 3, 140, zero=9), reals(3, 140)
INDICES = Input(TensorType((3,), Scalar("i64")), name="i")
CASES: Mapping[str, Node] = {
    f"product, {elem}": MatMul(ROWS, narrow(140, 62, elem=elem, axis=1)) for elem in WIDTHS
} | {
    "convolution": Conv(IMAGE, narrow(21, 32, 3, 3, axis=0)),
    "grouped convolution": Conv(IMAGE, narrow(32, 16, 3, 3, axis=0), groups=2),
    "transposed": ConvTranspose(IMAGE, narrow(32, 9, 3, 3, axis=1), stride=(2, 2)),
    "transposed in groups": ConvTranspose(IMAGE, narrow(32, 8, 3, 3), groups=4),
    "steps": MatMul(ROWS, ExpandGroups(grouped(140, 62, axis=1, group=35))),
    "steps of runs with a rest": MatMul(ROWS, ExpandGroups(grouped(140, 62, axis=1, group=32))),
    "steps of a convolution": Conv(IMAGE, ExpandGroups(grouped(20, 32, 3, 3, axis=0, group=40))),
    "for reals": MatMul(REALS, Dequantize(narrow(140, 62, axis=1))),
    "for reals, steps": MatMul(REALS, Dequantize(grouped(140, 62, axis=1, group=16))),
    "rows of a table": Gather(narrow(90, 40), INDICES, 0),
}


def weight_of(node: Node) -> Const:
    (found,) = (n for n in graph_of(node).nodes if isinstance(n, Const))
    return found


@pytest.mark.parametrize("case", [c for c in CASES if "reals" not in c and "rows" not in c])
def test_onnxruntime_gives_the_interpreters_bits(case: str):
    same_bits(CASES[case])


@pytest.mark.parametrize("case", ["for reals", "for reals, steps"])
def test_weights_for_reals_are_those_of_the_graph(case: str, tmp_path: Path):
    """Rows of the identity read the weights themselves."""
    graph = graph_of(CASES[case])
    one = np.eye(3, 140, 5, dtype=np.float32)
    program = OnnxProgram(emit_integer(graph, tmp_path).paths[0])
    np.testing.assert_array_equal(program.run({"x": one})["y0"], graph.run(one)[0])


@pytest.mark.parametrize("case", CASES)
def test_each_is_packed_and_found_again(case: str, tmp_path: Path):
    written, weight = emit_integer(graph_of(CASES[case]), tmp_path), weight_of(CASES[case])
    kept = written.kept[weight.data.digest]
    assert sum(plane.bits for plane in kept.planes) == weight.elem.bits
    assert holds(kept, tmp_path, weight.data)
    assert stored(tmp_path) < weight.data.size * (weight.elem.bits + 1) / 8 + 900


@pytest.mark.parametrize("case", ["convolution", "product, i7", "steps", "for reals, steps"])
def test_onnxruntime_unpacks_when_it_loads_the_model(case: str, tmp_path: Path):
    emit_integer(graph_of(CASES[case]), tmp_path)
    options: Any = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(tmp_path / "loaded.onnx")
    onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), options)
    kinds = {node.op_type for node in onnx.load(str(tmp_path / "loaded.onnx")).graph.node}
    assert kinds <= {"ConvInteger", "MatMulInteger", "MatMul", "Identity"}


@pytest.mark.parametrize("case", ["convolution", "product, i7", "steps", "for reals, steps"])
def test_more_than_may_be_unpacked_at_once_keeps_a_byte_each(case: str, tmp_path: Path):
    graph = graph_of(CASES[case])
    given = feed(graph)
    path = emit_integer(graph, tmp_path, folded=1).paths[0]
    kinds = {node.op_type for node in onnx.load(str(path)).graph.node}
    assert kinds.isdisjoint({"BitShift", "Reshape", "Slice"})
    size = weight_of(CASES[case]).data.size
    assert size <= stored(tmp_path) < size + 900
    (expected,) = graph.run(*given.values())
    np.testing.assert_allclose(OnnxProgram(path).run(given)["y0"], expected, rtol=1e-6)


def stored(folder: Path) -> int:
    """Bytes of all initializers."""
    model = onnx.load(str(folder / "model.onnx"))
    return sum(len(tensor.raw_data) for tensor in model.graph.initializer)


@pytest.mark.parametrize("case", ["convolution", "steps", "product, i3"])
def test_the_graph_reads_its_weights_from_the_model(case: str, tmp_path: Path):
    graph = graph_of(CASES[case])
    write_graph(graph, tmp_path, emit_integer(graph, tmp_path).kept)
    (given,) = feed(graph).values()
    np.testing.assert_array_equal(read_graph(tmp_path).run(given)[0], graph.run(given)[0])
    assert (tmp_path / "blobs.bin").stat().st_size < 1500


def test_weights_of_a_byte_are_found_though_they_are_moved_by_128(tmp_path: Path):
    node = MatMul(ROWS, weights(RNG, 140, 62, axis=1))
    kept = emit_integer(graph_of(node), tmp_path).kept[weight_of(node).data.digest]
    assert kept.less == 128
    assert holds(kept, tmp_path, weight_of(node).data)


def test_little_constants_are_stored_as_they_are(tmp_path: Path):
    node = MatMul(ints("u8", 3, 8), narrow(8, 9, axis=1))
    emit_integer(graph_of(node), tmp_path)
    model = onnx.load(str(tmp_path / "model.onnx"))
    assert {n.op_type for n in model.graph.node} == {"MatMulInteger", "Identity"}


@pytest.mark.parametrize("elem", ["i4", "i8"])
def test_pairs_hold_their_weights_as_integers(elem: str, tmp_path: Path):
    """Instead of the reals that the calibrated graph has."""
    w = const(RNG.normal(0, 1, (140, 62)).astype(np.float32), name="w")
    unit = Affine(tuple(float(s) for s in RNG.uniform(0.1, 0.2, 62)), axis=1)
    real = graph_of(MatMul(reals(3, 140), FakeQuant(w, Scalar(elem), unit)))
    graph = with_stored_weights(real)
    written = emit_qdq(graph, tmp_path)
    write_graph(graph, tmp_path, written.kept)
    given = feed(real)
    np.testing.assert_array_equal(
        read_graph(tmp_path).run(*given.values())[0], real.run(*given.values())[0]
    )
    assert stored(tmp_path) < 140 * 62 * Scalar(elem).bits / 8 + 500
    assert (tmp_path / "blobs.bin").stat().st_size < 1000
    model = onnx.load(str(tmp_path / "model.onnx"))
    kinds = [n.op_type for n in model.graph.node]
    assert kinds[kinds.index("MatMul") - 1] == "DequantizeLinear"
    found = OnnxProgram(written.paths[0], optimize=False).run(given)["y0"]
    np.testing.assert_allclose(found, real.run(*given.values())[0], rtol=1e-5, atol=1e-5)
