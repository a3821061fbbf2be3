"""TensorProto → constant: a promise of an array, read when asked."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from qcompile.errors import BadModel
from qcompile.ir.blob import Blob, mapped_blob
from qcompile.ir.ops.source import Const
from qcompile.ir.types import Array, Scalar

ELEMENTS: dict[int, Scalar] = {
    onnx.TensorProto.FLOAT: Scalar("f32"),
    onnx.TensorProto.UINT8: Scalar("u8"),
    onnx.TensorProto.INT8: Scalar("i8"),
    onnx.TensorProto.UINT16: Scalar("u16"),
    onnx.TensorProto.INT16: Scalar("i16"),
    onnx.TensorProto.INT32: Scalar("i32"),
    onnx.TensorProto.INT64: Scalar("i64"),
    onnx.TensorProto.BOOL: Scalar("bool"),
    onnx.TensorProto.FLOAT16: Scalar("f16"),
    onnx.TensorProto.DOUBLE: Scalar("f64"),
    onnx.TensorProto.UINT32: Scalar("u32"),
    onnx.TensorProto.UINT64: Scalar("u64"),
    onnx.TensorProto.BFLOAT16: Scalar("bf16"),
    onnx.TensorProto.FLOAT8E4M3FN: Scalar("f8e4m3"),
    onnx.TensorProto.FLOAT8E5M2: Scalar("f8e5m2"),
    onnx.TensorProto.UINT4: Scalar("u4"),
    onnx.TensorProto.INT4: Scalar("i4"),
    onnx.TensorProto.FLOAT4E2M1: Scalar("f4e2m1"),
    onnx.TensorProto.FLOAT8E8M0: Scalar("f8e8m0"),
    onnx.TensorProto.UINT2: Scalar("u2"),
    onnx.TensorProto.INT2: Scalar("i2"),
}
CODES: dict[Scalar, int] = {elem: code for code, elem in ELEMENTS.items()}


def elem_of(code: int, *, where: str) -> Scalar:
    """The element format of an ONNX data type; `BadModel` names one that is none."""
    if code in ELEMENTS:
        return ELEMENTS[code]
    known = {number: name for name, number in onnx.TensorProto.DataType.items()}
    name = known.get(code, f"number {code}")
    raise BadModel(f"{where}: element type {name} is not supported; convert it to a numeric one")


def constant(tensor: onnx.TensorProto, *, folder: Path | None, name: str) -> Const:
    """The tensor as a node. External data is mapped from its file, other data stays where it is."""
    where = f"tensor {name!r}"
    elem = elem_of(tensor.data_type, where=where)
    shape = tuple(tensor.dims)
    if any(d < 0 for d in shape):
        raise BadModel(f"{where} has the shape {list(shape)}")
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        return Const(_external(tensor, elem, shape, folder, where), elem, name=name)
    _check_stored(tensor, elem, shape, where)
    return Const(Blob(shape, elem.storage, _reader(tensor, elem)), elem, name=name)


def sparse_constant(tensor: onnx.SparseTensorProto, *, folder: Path | None, name: str) -> Const:
    """The dense tensor that a list of places and values stands for, filled when it is read."""
    shape = tuple(tensor.dims)
    values = constant(tensor.values, folder=folder, name=name)
    places = constant(tensor.indices, folder=folder, name=f"{name} indices")
    count = values.data.shape
    if places.elem != Scalar("i64") or places.data.shape not in (count, (*count, len(shape))):
        raise BadModel(f"tensor {name!r}: places {places.type} for values {values.type}")
    where: Any = places.array.reshape(*count, -1)
    flat: Any = where[:, 0] if where.shape[1] == 1 else np.ravel_multi_index(tuple(where.T), shape)
    if flat.size and not 0 <= flat.min() <= flat.max() < prod(shape):
        raise BadModel(f"tensor {name!r}: a place lies outside of {list(shape)}")

    def load() -> Array:
        dense = np.zeros(prod(shape), values.elem.storage)
        dense[flat] = values.array
        return dense.reshape(shape)

    return Const(Blob(shape, values.elem.storage, load), values.elem, name=name)


def _check_stored(
    tensor: onnx.TensorProto, elem: Scalar, shape: tuple[int, ...], where: str
) -> None:
    count = prod(shape)
    if tensor.HasField("raw_data"):
        got, want = len(tensor.raw_data), packed_bytes(elem, count)
        if got != want:
            raise BadModel(f"{where}: {elem}{list(shape)} needs {want} bytes, the file has {got}")
        return
    fields = (
        tensor.float_data, tensor.int32_data, tensor.int64_data,
        tensor.double_data, tensor.uint64_data,
    )  # fmt: skip
    got = sum(len(field) for field in fields)
    per_item = 8 // elem.bits if elem.bits < 8 and elem.name != "bool" else 1
    if got != -(-count // per_item):
        raise BadModel(f"{where}: {elem}{list(shape)} needs {count} values, the file has {got}")


def packed_bytes(elem: Scalar, count: int) -> int:
    """Bytes of `count` elements in a file: narrow ones are packed."""
    if elem.bits < 8 and elem.name != "bool":
        return -(-count * elem.bits // 8)
    return count * elem.storage.itemsize


def _reader(tensor: onnx.TensorProto, elem: Scalar) -> Callable[[], Array]:
    def load() -> Array:
        if tensor.HasField("raw_data"):
            return unpack(np.frombuffer(tensor.raw_data, np.uint8), elem, tuple(tensor.dims))
        return numpy_helper.to_array(tensor).astype(elem.storage, copy=False)

    return load


def unpack(stored: NDArray[np.uint8], elem: Scalar, shape: tuple[int, ...]) -> Array:
    """The elements that the bytes of a file hold; narrow ones lie low bits first."""
    if elem.bits >= 8 or elem.name == "bool":
        return stored.view(elem.storage).reshape(shape)
    per_byte = 8 // elem.bits
    shifts = np.arange(per_byte, dtype=np.uint8) * np.uint8(elem.bits)
    mask = np.uint8((1 << elem.bits) - 1)
    fields: NDArray[Any] = ((stored[:, None] >> shifts) & mask).reshape(-1)[: prod(shape)]
    if elem.is_integer and elem.signed:
        sign = np.uint8(1 << (elem.bits - 1))
        fields = (fields ^ sign).view(np.int8) - np.int8(sign)
    return fields.view(elem.storage).reshape(shape)


def _external(
    tensor: onnx.TensorProto,
    elem: Scalar,
    shape: tuple[int, ...],
    folder: Path | None,
    where: str,
) -> Blob:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    path = _location(entries.get("location", ""), folder, where)
    offset, need = _number(entries, "offset", where) or 0, packed_bytes(elem, prod(shape))
    length = _number(entries, "length", where)
    if length is not None and length != need:
        raise BadModel(f"{where}: {elem}{list(shape)} needs {need} bytes, it says length {length}")
    have = path.stat().st_size
    if offset + need > have:
        raise BadModel(
            f"{where}: needs bytes {offset} to {offset + need} of {path}, which has {have}: "
            "copy the data file again"
        )
    if elem.bits >= 8 or elem.name == "bool":
        return mapped_blob(path, offset=offset, shape=shape, dtype=elem.storage)
    packed = mapped_blob(path, offset=offset, shape=(need,), dtype=np.dtype(np.uint8))
    return Blob(shape, elem.storage, lambda: unpack(packed.array().astype(np.uint8), elem, shape))


def _location(location: str, folder: Path | None, where: str) -> Path:
    if folder is None:
        raise BadModel(f"{where} lies in the file {location!r}, but the model has no folder")
    if not location or Path(location).is_absolute() or ".." in Path(location).parts:
        raise BadModel(f"{where}: data file {location!r} must lie beside the model")
    path = folder / location
    if not path.is_file():
        raise BadModel(f"{where}: data file {path} is missing: put it beside the model")
    return path


def _number(entries: dict[str, str], key: str, where: str) -> int | None:
    if key not in entries:
        return None
    if not entries[key].isdigit():
        raise BadModel(f"{where}: external data has {key} {entries[key]!r}, wants a number")
    return int(entries[key])
