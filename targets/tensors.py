"""A dense tensor as the C interfaces of compiled models describe it, and as numpy has it."""

from __future__ import annotations

import ctypes as c
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.errors import ArtifactError

Array = NDArray[Any]
DTYPES = (np.uint8, np.int8, np.int16, np.int32, np.float32, np.bool_, np.int64)
MAX_RANK = 8


class CTensor(c.Structure):
    """`qc_tensor`."""

    _fields_ = (
        ("name", c.c_char_p),
        ("type", c.c_int),
        ("rank", c.c_int32),
        ("shape", c.c_int64 * MAX_RANK),
        ("bytes", c.c_size_t),
        ("count", c.c_int32),
        ("axis", c.c_int32),
        ("scales", c.POINTER(c.c_float)),
        ("zero_points", c.POINTER(c.c_int32)),
    )


@dataclass(frozen=True)
class Tensor:
    """An input or output as the library declares it."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


def described(tensor: CTensor) -> Tensor:
    """Name, type and shape."""
    lengths: Any = tensor.shape
    shape = tuple(int(lengths[i]) for i in range(tensor.rank))
    kind: np.dtype[Any] = np.dtype(DTYPES[int(tensor.type)])
    return Tensor(tensor.name.decode(errors="replace"), kind, shape)


def copied(tensor: CTensor, data: int) -> Array:
    """The values at an address."""
    kind = described(tensor)
    return np.frombuffer(c.string_at(data, tensor.bytes), kind.dtype).reshape(kind.shape)


def matching(array: Array, tensor: Tensor) -> Array:
    """The array, dense. `ArtifactError` unless it is what the library takes."""
    if array.shape != tensor.shape or array.dtype != tensor.dtype:
        raise ArtifactError(
            f"input {tensor.name} is {array.dtype}{list(array.shape)}, the model takes "
            f"{tensor.dtype}{list(tensor.shape)}"
        )
    return np.ascontiguousarray(array)


def pointers(arrays: Sequence[Array]) -> Any:
    """`void *const *`."""
    return (c.c_void_p * (len(arrays) + 1))(*(a.ctypes.data for a in arrays))
