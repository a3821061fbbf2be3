"""Streams a model to disk: one tensor in memory at a time, whatever the model's size.

The protobuf file is laid out by hand (three length prefixes), so that no second copy of the
weights is ever made. Above `INLINE_LIMIT` bytes, weights go to a data file beside the model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, TensorProto, helper

from qcompile.targets.onnx.model import Initializer, Writer, code, value_info

INLINE_LIMIT = 1 << 28  # bytes of weights; more go to a file that onnxruntime maps
EXTERNAL_LEAST = 1024  # bytes; smaller tensors stay in the model file
ALIGNMENT = 4096

_GRAPH, _INITIALIZER, _RAW_DATA = 7, 5, 9  # field numbers in onnx.proto


@dataclass(frozen=True)
class Saved:
    """Files that were written, and in which of them, from which byte on, each initializer lies."""

    paths: list[Path]
    places: Mapping[str, tuple[str, int]]


def save(writer: Writer, folder: Path, stem: str, *, limit: int = INLINE_LIMIT) -> Saved:
    """Writes `stem.onnx`, and `stem.onnx.data` when the constants exceed `limit` bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}.onnx"
    tensors = writer.stored
    data = folder / f"{stem}.onnx.data"
    outside = _offsets(tensors) if sum(t.nbytes for t in tensors) > limit else {}
    with path.open("wb") as file:
        inside = _stream(file, writer, outside, data.name)
    places = {name: (path.name, start) for name, start in inside.items()}
    if not outside:
        return Saved([path], places)
    with data.open("wb") as file:
        for tensor in tensors:
            if tensor.name in outside:
                file.seek(outside[tensor.name])
                _write_raw(file, tensor)
    return Saved([path, data], places | {n: (data.name, at) for n, at in outside.items()})


def to_bytes(writer: Writer) -> bytes:
    """The whole model in memory; for small ones."""
    parts = [_skeleton(writer).SerializeToString(deterministic=True)]
    graph = _graph(writer)
    graph.initializer.extend(_full(t) for t in writer.stored)
    body = graph.SerializeToString(deterministic=True)
    return b"".join([*parts, _prefix(_GRAPH, len(body)), body])


def _skeleton(writer: Writer) -> ModelProto:
    imports = [helper.make_opsetid("", writer.opset)]
    imports += [helper.make_opsetid(d, v) for d, v in sorted(writer.domains.items())]
    oldest = helper.find_min_ir_version_for(imports, ignore_unknown=True)
    model = ModelProto(ir_version=oldest, producer_name="qcompile", opset_import=imports)
    return model


def _graph(writer: Writer) -> GraphProto:
    graph = writer.graph
    name = writer.names
    return GraphProto(
        name=graph.name or "graph",
        node=writer.nodes,
        input=[value_info(name[i], i.type.elem, i.type.shape) for i in graph.inputs],
        output=[value_info(n, o.type.elem, o.type.shape) for n, o in graph.outputs],
    )


def _stream(
    file: BinaryIO, writer: Writer, outside: dict[str, int], location: str
) -> dict[str, int]:
    """Writes the model; where the raw data of each initializer in it begins."""
    tensors = writer.stored
    heads = [_head(t, outside.get(t.name), location) for t in tensors]
    sizes = [
        len(h) + (0 if t.name in outside else len(_prefix(_RAW_DATA, t.nbytes)) + t.nbytes)
        for t, h in zip(tensors, heads, strict=True)
    ]
    body = _graph(writer).SerializeToString(deterministic=True)
    total = len(body) + sum(len(_prefix(_INITIALIZER, size)) + size for size in sizes)
    file.write(_skeleton(writer).SerializeToString(deterministic=True))
    file.write(_prefix(_GRAPH, total))
    file.write(body)
    places: dict[str, int] = {}
    for tensor, head, size in zip(tensors, heads, sizes, strict=True):
        file.write(_prefix(_INITIALIZER, size))
        file.write(head)
        if tensor.name not in outside:
            file.write(_prefix(_RAW_DATA, tensor.nbytes))
            places[tensor.name] = file.tell()
            _write_raw(file, tensor)
    return places


def _head(tensor: Initializer, offset: int | None, location: str) -> bytes:
    head = TensorProto(name=tensor.name, data_type=code(tensor.dtype), dims=tensor.shape)
    if offset is not None:
        head.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", offset), ("length", tensor.nbytes)):
            head.external_data.add(key=key, value=str(value))
    return head.SerializeToString(deterministic=True)


def _full(tensor: Initializer) -> TensorProto:
    head = TensorProto(name=tensor.name, data_type=code(tensor.dtype), dims=tensor.shape)
    head.raw_data = _raw(tensor).tobytes()
    return head


def _write_raw(file: BinaryIO, tensor: Initializer) -> None:
    flat = _raw(tensor)
    for start in range(0, flat.size, 1 << 24):
        file.write(flat[start : start + (1 << 24)].data)


def _raw(tensor: Initializer) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    array = tensor.load()
    if array.shape != tensor.shape or array.dtype != tensor.dtype:
        raise AssertionError(
            f"{tensor.name} promised {tensor.dtype}{tensor.shape}, got {array.dtype}{array.shape}"
        )
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _offsets(tensors: Iterable[Initializer]) -> dict[str, int]:
    offsets: dict[str, int] = {}
    end = 0
    for tensor in tensors:
        if tensor.nbytes >= EXTERNAL_LEAST:
            offsets[tensor.name] = end
            end = -(-(end + tensor.nbytes) // ALIGNMENT) * ALIGNMENT
    return offsets


def _prefix(field: int, length: int) -> bytes:
    return _varint(field << 3 | 2) + _varint(length)


def _varint(number: int) -> bytes:
    result = bytearray()
    while number > 0x7F:
        result.append(number & 0x7F | 0x80)
        number >>= 7
    result.append(number)
    return bytes(result)
