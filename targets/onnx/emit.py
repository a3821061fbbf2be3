"""Graphs to ONNX: as they are (`to_onnx`), integers only (`emit_integer`), Q/DQ (`emit_qdq`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from onnx import ModelProto

from qcompile.errors import NotLegal
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.foreign import Foreign
from qcompile.ir.ops.hadamard import Hadamard
from qcompile.ir.ops.integer import ExpandGroups, Lut, Requantize, SoftmaxInteger
from qcompile.ir.ops.quant import Dequantize, FakeQuant, FakeQuantDynamic, Observe, Quantize
from qcompile.targets.onnx import borders, files, rescale
from qcompile.targets.onnx.contract import CONTRACTIONS
from qcompile.targets.onnx.foreign import foreign, usable_opsets
from qcompile.targets.onnx.hadamard import transform
from qcompile.targets.onnx.model import OPSETS, Handler, NeedsOpset, Writer
from qcompile.targets.onnx.moving import MOVING
from qcompile.targets.onnx.pointwise import POINTWISE
from qcompile.targets.onnx.qdq import FLOAT_BIASES, INTEGER_BIASES
from qcompile.targets.onnx.reducing import REDUCING
from qcompile.targets.onnx.softmax import softmax_integer

STEM = "model"

HANDLERS: dict[type[Node], Handler] = {
    **POINTWISE,
    **MOVING,
    **REDUCING,
    **CONTRACTIONS,
    Hadamard: transform,
    Requantize: rescale.requantize,
    Lut: rescale.lut,
    ExpandGroups: rescale.expand_groups,
    SoftmaxInteger: softmax_integer,
    Quantize: borders.quantize,
    Dequantize: borders.dequantize,
    Observe: borders.observe,
    FakeQuant: borders.fake_quant,
    FakeQuantDynamic: borders.fake_quant_dynamic,
    Foreign: foreign,
}


def to_onnx(graph: Graph) -> ModelProto:
    """The graph at any stage as a model in memory; integers by integer operators.

    The operator set and the IR version are the lowest that express it.
    """
    return ModelProto.FromString(files.to_bytes(_written(graph, HANDLERS)))


def emit_onnx(graph: Graph, folder: Path, *, stem: str = STEM) -> list[Path]:
    """The graph at any stage as files in `folder`, one tensor in memory at a time."""
    return files.save(_written(graph, HANDLERS), folder, stem)


def emit_integer(graph: Graph, folder: Path, *, stem: str = STEM) -> list[Path]:
    """The integer graph by standard integer operators: the bits of `Graph.run` on any CPU."""
    marked = [n for n in graph.nodes if isinstance(n, FakeQuant | FakeQuantDynamic | Observe)]
    if marked:
        raise NotLegal(f"{marked[0]}: a graph for onnx-int is quantized first")
    return emit_onnx(graph, folder, stem=stem)


def emit_qdq(graph: Graph, folder: Path, *, stem: str = STEM) -> list[Path]:
    """The fake-quantized graph as float operators between QuantizeLinear and DequantizeLinear.

    Biases are stored in int32: every onnxruntime and OpenVINO fuse this form.
    """
    return _emit_pairs(graph, folder, stem, INTEGER_BIASES)


def emit_qdq_for_tensorrt(graph: Graph, folder: Path, *, stem: str = STEM) -> list[Path]:
    """The same with float biases: TensorRT refuses int32 before a DequantizeLinear.

    onnxruntime fuses this form from 1.26 on.
    """
    return _emit_pairs(graph, folder, stem, FLOAT_BIASES)


def _emit_pairs(
    graph: Graph, folder: Path, stem: str, pairs: Mapping[type[Node], Handler]
) -> list[Path]:
    return files.save(_written(graph, {**HANDLERS, **pairs}, keeps=(FakeQuant,)), folder, stem)


def refusals(graph: Graph) -> list[str]:
    """One sentence for each node that has no ONNX form."""
    return Writer(graph, opset=OPSETS[-1], handlers=HANDLERS).refusals()


def _written(
    graph: Graph, handlers: Mapping[type[Node], Handler], keeps: tuple[type[Node], ...] = ()
) -> Writer:
    """The graph written for the first operator set that has all it needs."""
    least = 0
    for opset in usable_opsets(graph):
        if opset < least:
            continue
        writer = Writer(graph, opset=opset, handlers=handlers, keeps=keeps)
        try:
            writer.write()
        except NeedsOpset as needed:
            least = needed.opset
            continue
        return writer
    raise NotLegal(f"{graph.name}: needs operator set {least}, which its foreign operators forbid")
