"""Opening a model file: every way in which it can fail has its sentence."""

from __future__ import annotations

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import inliner

from qcompile.errors import BadModel, ReadError
from qcompile.frontends.onnx_wire import Malformed, read_around_weights


def load_model(path: Path) -> onnx.ModelProto:
    """The parsed file. Large weights stay where they are, in it or beside it."""
    if not path.is_file():
        kind = "is a folder" if path.is_dir() else "is missing"
        raise ReadError(f"{path} {kind}: wants an ONNX file")
    size = path.stat().st_size
    try:
        model = read_around_weights(path)
    except (DecodeError, Malformed, RecursionError) as error:
        raise BadModel(
            f"{path}: its {size} bytes are no ONNX model (cut short, or another kind of file): "
            "export or copy it again"
        ) from error
    except OSError as error:
        raise ReadError(f"{path}: cannot be read: {error}") from error
    if not model.HasField("graph") or not model.graph.output:
        raise BadModel(
            f"{path}: its {size} bytes hold no ONNX graph with outputs (another kind of file?): "
            "export or copy it again"
        )
    return model


def inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without local functions; weights are not copied by the way."""
    if not model.functions:
        return model
    bare = onnx.ModelProto()
    bare.CopyFrom(_without_weights(model))
    try:
        result = inliner.inline_local_functions(bare)
    except Exception as error:
        raise BadModel(f"the model's functions cannot be inlined: {error}") from error
    del result.graph.initializer[:]
    result.graph.initializer.extend(model.graph.initializer)
    result.graph.sparse_initializer.extend(model.graph.sparse_initializer)
    return result


def _without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    bare = onnx.ModelProto(ir_version=model.ir_version)
    bare.opset_import.extend(model.opset_import)
    bare.functions.extend(model.functions)
    bare.graph.name = model.graph.name
    bare.graph.node.extend(model.graph.node)
    bare.graph.input.extend(model.graph.input)
    bare.graph.output.extend(model.graph.output)
    names = [*model.graph.initializer, *(s.values for s in model.graph.sparse_initializer)]
    known = {v.name for v in model.graph.input}
    bare.graph.input.extend(onnx.ValueInfoProto(name=t.name) for t in names if t.name not in known)
    return bare
