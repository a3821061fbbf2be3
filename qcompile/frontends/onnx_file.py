"""Opening a model file: every way in which it can fail has its sentence."""

from __future__ import annotations

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from qcompile.errors import BadModel, ReadError


def load_model(path: Path) -> onnx.ModelProto:
    """The parsed file. External data is not read."""
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "missing"
        raise ReadError(f"{path}: is {kind}, wants an ONNX file")
    size = path.stat().st_size
    if size == 0:
        raise BadModel(f"{path}: is empty")
    try:
        model = onnx.load(path, load_external_data=False)
    except (DecodeError, ValueError, UnicodeDecodeError, RecursionError) as error:
        raise BadModel(
            f"{path}: {size} bytes that are no ONNX model (cut short, or another kind of file)"
        ) from error
    except OSError as error:
        raise ReadError(f"{path}: cannot be read: {error}") from error
    if not model.HasField("graph") or not model.graph.output:
        raise BadModel(f"{path}: holds no ONNX graph with outputs (another kind of file?)")
    return model
