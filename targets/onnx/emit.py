"""Graphs to ONNX: as they are (`to_onnx`), integers only (`emit_integer`), Q/DQ (`emit_qdq`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Final

from onnx import ModelProto

from qcompile.errors import NotLegal
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.foreign import Foreign
from qcompile.ir.ops.hadamard import Hadamard
from qcompile.ir.ops.integer import ExpandGroups, Lut, Requantize, SoftmaxInteger
from qcompile.ir.ops.quant import Dequantize, FakeQuant, FakeQuantDynamic, Observe, Quantize
from qcompile.ir.ops.source import Const
from qcompile.program.kept import Kept, Plane
from qcompile.targets.onnx import borders, files, rescale
from qcompile.targets.onnx.bytes8 import sizes
from qcompile.targets.onnx.contract import CONTRACTIONS
from qcompile.targets.onnx.foreign import foreign, usable_opsets
from qcompile.targets.onnx.hadamard import transform
from qcompile.targets.onnx.model import OPSETS, Handler, NeedsOpset, Writer
from qcompile.targets.onnx.moving import MOVING
from qcompile.targets.onnx.narrow import is_narrow, unpacked
from qcompile.targets.onnx.pointwise import POINTWISE
from qcompile.targets.onnx.qdq import FLOAT_BIASES, INTEGER_BIASES
from qcompile.targets.onnx.reducing import REDUCING
from qcompile.targets.onnx.softmax import softmax_integer

STEM = "model"
FOLDED: Final = 1 << 26
"""Elements that onnxruntime may unpack when it loads a model. It holds all steps of that at once,
up to 19 bytes an element: networks with more keep a byte a weight, which it maps from the file."""
QDQ = (FakeQuant, Dequantize)

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


@dataclass(frozen=True)
class Written:
    """Files, and by digest where the graph's constants lie in them."""

    paths: list[Path]
    kept: Mapping[str, Kept]


def emit_onnx(graph: Graph, folder: Path, *, stem: str = STEM) -> list[Path]:
    """The graph at any stage as files in `folder`, one tensor in memory at a time."""
    return files.save(_written(graph, HANDLERS), folder, stem).paths


def emit_integer(graph: Graph, folder: Path, *, stem: str = STEM, folded: int = FOLDED) -> Written:
    """The integer graph by standard integer operators: the bits of `Graph.run` on any CPU.

    Constants of fewer than 8 bits are packed, and their groups' steps are a byte each, unless all
    of them together have more than `folded` elements.
    """
    marked = [n for n in graph.nodes if isinstance(n, FakeQuant | FakeQuantDynamic | Observe)]
    if marked:
        raise NotLegal(f"{marked[0]}: a graph for onnx-int is quantized first")
    return _packed(graph, folder, stem, (HANDLERS, (ExpandGroups, Dequantize)), folded)


def emit_qdq(graph: Graph, folder: Path, *, stem: str = STEM, folded: int = FOLDED) -> Written:
    """The fake-quantized graph as float operators between QuantizeLinear and DequantizeLinear.

    Biases are stored in int32: every onnxruntime and OpenVINO fuse this form.
    """
    return _packed(graph, folder, stem, ({**HANDLERS, **INTEGER_BIASES}, QDQ), folded)


def emit_qdq_for_tensorrt(
    graph: Graph, folder: Path, *, stem: str = STEM, folded: int = FOLDED
) -> Written:
    """The same with float biases: TensorRT refuses int32 before a DequantizeLinear.

    onnxruntime fuses this form from 1.26 on.
    """
    return _packed(graph, folder, stem, ({**HANDLERS, **FLOAT_BIASES}, QDQ), folded)


def _packed(
    graph: Graph,
    folder: Path,
    stem: str,
    form: tuple[Mapping[type[Node], Handler], tuple[type[Node], ...]],
    folded: int,
) -> Written:
    """By these handlers, with these operations on constants left to who loads the model."""
    handlers, keeps = form
    if sum(prod(sizes(n.type)) for n in graph.nodes if is_narrow(n)) > folded:
        writer = _written(graph, handlers, QDQ)
    else:
        writer = _written(graph, {**handlers, Const: unpacked}, keeps, is_narrow)
    saved = files.save(writer, folder, stem)
    return Written(saved.paths, _kept(writer, saved))


def _kept(writer: Writer, saved: files.Saved) -> dict[str, Kept]:
    """Constants whose initializers were stored."""
    found: dict[str, Kept] = {}
    for node, held in writer.held.items():
        if all(name in saved.places for name, _ in held.planes):
            planes = [Plane(saved.places[name][1], bits) for name, bits in held.planes]
            file = saved.places[held.planes[0][0]][0]
            found[node.data.digest] = Kept(file, tuple(planes), held.less)
    return found


def refusals(graph: Graph) -> list[str]:
    """One sentence for each node that has no ONNX form."""
    return Writer(graph, opset=OPSETS[-1], handlers=HANDLERS).refusals()


def _written(
    graph: Graph,
    handlers: Mapping[type[Node], Handler],
    keeps: tuple[type[Node], ...] = (),
    packs: Callable[[Node], bool] = lambda node: False,
) -> Writer:
    """The graph written for the first operator set that has all it needs."""
    least = 0
    for opset in usable_opsets(graph):
        if opset < least:
            continue
        writer = Writer(graph, opset=opset, handlers=handlers, keeps=keeps, packs=packs)
        try:
            writer.write()
        except NeedsOpset as needed:
            least = needed.opset
            continue
        return writer
    raise NotLegal(f"{graph.name}: needs operator set {least}, which its foreign operators forbid")
