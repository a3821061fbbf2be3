"""The targets: every operation is written or refused by name; the runtime shows its integers."""

from __future__ import annotations

import numpy as np
import pytest

from qcompile.errors import ArtifactError
from qcompile.ir.graph import Graph
from qcompile.ir.ops import OPS
from qcompile.ir.ops.integer import requantize
from qcompile.ir.ops.linear import Conv
from qcompile.ir.ops.pointwise import Relu
from qcompile.ir.ops.quant import Dequantize, Quantize
from qcompile.ir.ops.source import Const, Input
from qcompile.ir.types import U8
from qcompile.ir.unit import per_tensor
from qcompile.targets.onnx.emit import HANDLERS
from qcompile.targets.onnx.target import ONNX_INT, ONNX_QDQ
from tests.targets.onnx.checks import feed, graph_of, ints, reals, weights


def _network() -> Graph:
    rng = np.random.default_rng(0)
    x = Quantize(reals(1, 3, 8, 8), U8, per_tensor(0.05, 128), name="q")
    conv = Conv(x, weights(rng, 4, 3, 3, 3, axis=0), name="conv")
    return graph_of(Dequantize(requantize(conv, U8, per_tensor(0.3), name="narrow"), name="y0"))


def test_every_operation_has_its_handler():
    assert set(OPS.values()) - {Input, Const} == set(HANDLERS)


def test_the_runtime_gives_reals_integers_and_layers(tmp_path):
    graph = _network()
    emitted = ONNX_INT.emit(graph, tmp_path, threads=1)
    runtime = ONNX_INT.open(tmp_path, emitted.details, threads=1)
    given = feed(graph)
    wanted = {n.name: v for n, v in graph.values([given["x"]], keep=graph.nodes)}
    assert np.array_equal(runtime.run(given)["y0"], wanted["y0"])
    assert np.array_equal(runtime.run_raw(given)["y0"], wanted["narrow"])
    traced = dict(runtime.trace(given))
    assert list(traced) == ["q", "conv", "narrow"]
    assert all(np.array_equal(value, wanted[name]) for name, value in traced.items())


def test_what_cannot_be_written_is_said_all_at_once():
    rng = np.random.default_rng(0)
    wide = [
        Conv(ints("i8", 1, 1, 4, 4, name=f"x{i}"), weights(rng, 1, 1, 2, 2, elem="i16"), name=name)
        for i, name in enumerate(("first", "second"))
    ]
    assert len(ONNX_INT.refusals(graph_of(*wide))) == 2
    assert ONNX_INT.refusals(_network()) == []


def test_the_pairs_give_reals(tmp_path):
    graph = graph_of(Relu(reals(2, 3), name="y0"))
    emitted = ONNX_QDQ.emit(graph, tmp_path, threads=1)
    given = feed(graph)
    runtime = ONNX_QDQ.open(tmp_path, emitted.details, threads=1)
    assert np.array_equal(runtime.run_raw(given)["y0"], np.maximum(given["x"], 0))
    assert list(runtime.trace(given)) == []


def test_a_manifest_without_places_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="no entry 'onnx'"):
        ONNX_INT.open(tmp_path, {}, threads=1)
