"""ONNX → Graph."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import onnx

from qcompile.errors import BadModel
from qcompile.frontends.onnx_call import contradictions
from qcompile.frontends.onnx_file import inlined, load_model
from qcompile.frontends.onnx_graph import Reader
from qcompile.frontends.onnx_inputs import graph_inputs
from qcompile.frontends.onnx_order import stored_tensors
from qcompile.ir.graph import Graph

OLDEST, NEWEST = 6, onnx.defs.onnx_opset_version()
_NO_SHAPES: Mapping[str, tuple[int, ...]] = {}


def read_onnx(
    path: str | os.PathLike[str], *, shapes: Mapping[str, tuple[int, ...]] = _NO_SHAPES
) -> Graph:
    """The file's graph. `shapes` binds open lengths of inputs; weights are not loaded."""
    file = Path(path)
    model = load_model(file)
    return graph_of(model, shapes=shapes, folder=file.parent, name=file.stem)


def graph_of(
    model: onnx.ModelProto,
    *,
    shapes: Mapping[str, tuple[int, ...]] = _NO_SHAPES,
    folder: Path | None = None,
    name: str = "",
) -> Graph:
    """The model's graph; external data is looked for in `folder`. The model must stay as it is."""
    with contradictions("the model"):
        try:
            return _graph(model, shapes, folder, name)
        except BadModel as error:
            raise BadModel(f"{error}{_remedy(model, shapes)}") from error


def _graph(
    model: onnx.ModelProto,
    shapes: Mapping[str, tuple[int, ...]],
    folder: Path | None,
    name: str,
) -> Graph:
    opsets = _opsets(model)
    graph = inlined(model).graph
    stored = stored_tensors(graph)
    inputs, binding = graph_inputs([v for v in graph.input if v.name not in stored], shapes)
    reader = Reader(opsets, folder, binding)
    reader.values.update((node.name, node) for node in inputs)
    if len(reader.values) != len(inputs):
        raise BadModel(f"two inputs share a name: {', '.join(n.name for n in inputs)}")
    names = [value.name for value in graph.output]
    if len(set(names)) != len(names):
        raise BadModel(f"two outputs share a name: {', '.join(names)}")
    results = reader.read(graph, names)
    return Graph(name or graph.name or "model", inputs, tuple(zip(names, results, strict=True)))


def _remedy(model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Open lengths may be the reason why a shape is not known."""
    stored = stored_tensors(model.graph).keys()
    opens = [
        _shown(v)
        for v in model.graph.input
        if v.name not in stored and v.name not in shapes
        if not all(d.dim_value for d in v.type.tensor_type.shape.dim)
    ]
    return f"; open lengths may be why: bind {', '.join(opens)} with --input-shape" if opens else ""


def _shown(value: onnx.ValueInfoProto) -> str:
    dims = value.type.tensor_type.shape.dim
    return f"{value.name} [{', '.join(d.dim_param or str(d.dim_value or '?') for d in dims)}]"


def _opsets(model: onnx.ModelProto) -> dict[str, int]:
    opsets = {e.domain if e.domain != "ai.onnx" else "": e.version for e in model.opset_import}
    version = opsets.get("", NEWEST if opsets else 1)
    if not OLDEST <= version <= NEWEST:
        raise BadModel(
            f"opset {version} is not supported: convert the model to one from {OLDEST} to {NEWEST} "
            "with onnx.version_converter"
        )
    return opsets | {"": version}
