"""Reads an ONNX file around its weights: what they hold stays in the file.

A protobuf message is a row of fields, each a key (number · 8 + kind) and a payload. Large
`raw_data` of initializers is left out, and the tensor says instead that its data lie in this very
file, at that place. So nothing is copied, and the format's limit of 2 GB does not apply.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx

LARGE = 1 << 14
_GRAPH, _INITIALIZER, _RAW_DATA = 7, 5, 9  # of ModelProto, GraphProto, TensorProto
_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5


class Malformed(ValueError):
    """The bytes are no row of fields."""


@dataclass(frozen=True, slots=True)
class _Field:
    """One field: where its key, its payload and its successor begin."""

    number: int
    kind: int
    start: int
    payload: int
    end: int


def read_around_weights(path: Path) -> onnx.ModelProto:
    """The model, its large weights as references into the file. `Malformed`, `DecodeError`."""
    if path.stat().st_size == 0:
        raise Malformed("is empty")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return onnx.ModelProto.FromString(b"".join(_model(data, path.name)))


def _model(data: mmap.mmap, location: str) -> Iterator[bytes]:
    for field in _fields(data, 0, len(data)):
        if (field.number, field.kind) == (_GRAPH, _BYTES):
            yield _wrapped(_GRAPH, b"".join(_graph(data, field, location)))
        else:
            yield data[field.start : field.end]


def _graph(data: mmap.mmap, graph: _Field, location: str) -> Iterator[bytes]:
    for field in _fields(data, graph.payload, graph.end):
        large = field.end - field.payload > LARGE
        if large and (field.number, field.kind) == (_INITIALIZER, _BYTES):
            yield _wrapped(_INITIALIZER, b"".join(_tensor(data, field, location)))
        else:
            yield data[field.start : field.end]


def _tensor(data: mmap.mmap, tensor: _Field, location: str) -> Iterator[bytes]:
    for field in _fields(data, tensor.payload, tensor.end):
        if field.number != _RAW_DATA or field.end - field.payload <= LARGE:
            yield data[field.start : field.end]
            continue
        reference = onnx.TensorProto(data_location=onnx.TensorProto.EXTERNAL)
        length = field.end - field.payload
        for key, value in (("location", location), ("offset", field.payload), ("length", length)):
            reference.external_data.add(key=key, value=str(value))
        yield reference.SerializeToString()


def _fields(data: mmap.mmap, start: int, end: int) -> Iterator[_Field]:
    while start < end:
        key, place = _varint(data, start, end)
        kind = key & 7
        if kind == _VARINT:
            payload, after = place, _varint(data, place, end)[1]
        elif kind == _BYTES:
            length, payload = _varint(data, place, end)
            after = payload + length
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            payload, after = place, place + (8 if kind == _EIGHT_BYTES else 4)
        else:
            raise Malformed(f"a field of kind {kind} at byte {start}")
        if after > end or key >> 3 == 0:
            raise Malformed(f"a field at byte {start} reaches to {after}, beyond {end}")
        yield _Field(key >> 3, kind, start, payload, after)
        start = after


def _varint(data: mmap.mmap, place: int, end: int) -> tuple[int, int]:
    value = 0
    for i in range(10):
        if place + i >= end:
            raise Malformed(f"a number at byte {place} is cut off")
        byte = data[place + i]
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return value, place + i + 1
    raise Malformed(f"a number at byte {place} is too long")


def _wrapped(number: int, payload: bytes) -> bytes:
    return _number(number << 3 | _BYTES) + _number(len(payload)) + payload


def _number(value: int) -> bytes:
    result = bytearray()
    while value > 0x7F:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    result.append(value)
    return bytes(result)
