"""Constants, and values that follow from shapes."""

from __future__ import annotations

from typing import Any

import numpy as np

from qcompile.errors import BadModel
from qcompile.frontends.onnx_call import Call, Opaque, Translator
from qcompile.frontends.onnx_tensor import constant
from qcompile.ir.blob import Blob
from qcompile.ir.dims import Symbol, is_static, static
from qcompile.ir.node import Node
from qcompile.ir.ops.reduce import ReduceProd
from qcompile.ir.ops.shape import ShapeOf, Slice
from qcompile.ir.ops.source import Const, const
from qcompile.ir.types import Array, Scalar, TensorType


def _constant(call: Call) -> Node:
    """The value as a tensor, or as a plain number or list."""
    for attribute in call.node.attribute:
        match attribute.name:
            case "value":
                return constant(attribute.t, folder=call.folder, name=call.name)
            case "value_float":
                return const(np.array(attribute.f, np.float32))
            case "value_int":
                return const(np.array(attribute.i, np.int64))
            case "value_floats":
                return const(np.array(attribute.floats, np.float32))
            case "value_ints":
                return const(np.array(attribute.ints, np.int64))
            case _:
                pass
    raise Opaque("a constant of another kind")


def _constant_of_shape(call: Call) -> Node:
    dims = call.dims(0)
    value: Array = np.zeros((), np.float32)
    elem = Scalar("f32")
    for attribute in call.node.attribute:
        if attribute.name == "value":
            given = constant(attribute.t, folder=call.folder, name=call.name)
            value, elem = given.array.reshape(-1)[0], given.elem
    if not is_static(dims):
        raise Opaque("a constant of open lengths", TensorType(dims, elem))
    shape = static(dims)
    if any(d < 0 for d in shape):
        raise BadModel(f"{call}: shape {list(shape)}")
    return Const(repeated(value, shape, elem), elem)


def repeated(value: Any, shape: tuple[int, ...], elem: Scalar) -> Blob:
    """One value everywhere, without the memory."""
    return Blob(
        shape, elem.storage, lambda: np.broadcast_to(np.asarray(value, elem.storage), shape)
    )


def _shape(call: Call) -> Node:
    x = call.x()
    rank = x.type.rank
    start, end = (_held(call.integer(n, d), rank) for n, d in (("start", 0), ("end", rank)))
    if (start, end) == (0, rank):
        return ShapeOf(x)
    return Slice(ShapeOf(x), (0,), (start,), (max(start, end),), (1,))


def _held(index: int, rank: int) -> int:
    return min(max(index + rank if index < 0 else index, 0), rank)


def _size(call: Call) -> Node:
    return ReduceProd(ShapeOf(call.x()), (0,), keepdims=False)


def _range(call: Call) -> Node:
    if all(isinstance(call.maybe(i), Const) for i in (0, 2)) and not call.kind(1).is_float:
        _open_range(call)
    start, limit, delta = (call.const(i).array for i in range(3))
    if any(a.size != 1 for a in (start, limit, delta)) or not delta.any():
        raise BadModel(f"{call}: wants three numbers and a step that is not 0")
    first, last, step = (a.reshape(-1)[0].item() for a in (start, limit, delta))
    count = max(int(np.ceil((last - first) / step)), 0)
    if count > 1 << 24:
        raise Opaque("a long range")
    values: Any = first + np.arange(count) * step
    return const(np.asarray(values).astype(start.dtype))


def _open_range(call: Call) -> None:
    """0, 1, …, n − 1 has n places, open or not."""
    limit = call.dims(1)
    if isinstance(limit[0], Symbol) and (call.number(0), call.number(2)) == (0, 1):
        raise Opaque("an open range", TensorType(limit, call.kind(1).elem))


SOURCE: dict[str, Translator] = {
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Shape": _shape,
    "Size": _size,
    "Range": _range,
}
