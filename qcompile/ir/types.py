"""Types of values: an element format, a shape and, for integers, a unit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from qcompile.ir.dims import Shape, show, static
from qcompile.ir.unit import Affine

Array: TypeAlias = NDArray[Any]

_FLOATS: dict[str, tuple[int, type]] = {
    "f64": (64, np.float64),
    "f32": (32, np.float32),
    "f16": (16, np.float16),
    "bf16": (16, ml_dtypes.bfloat16),
    "f8e4m3": (8, ml_dtypes.float8_e4m3fn),
    "f8e5m2": (8, ml_dtypes.float8_e5m2),
    "f8e8m0": (8, ml_dtypes.float8_e8m0fnu),
    "f4e2m1": (4, ml_dtypes.float4_e2m1fn),
}
_INTEGER = re.compile(r"([iu])([1-9]\d?)")


@dataclass(frozen=True, slots=True)
class Scalar:
    """An element format: `i1`…`i64`, `u1`…`u64`, `bool`, `f64 f32 f16 bf16`, small floats."""

    name: str

    def __post_init__(self) -> None:
        integer = _INTEGER.fullmatch(self.name)
        if integer and int(integer[2]) <= 64:
            return
        if self.name != "bool" and self.name not in _FLOATS:
            raise ValueError(f"no element format {self.name!r}")

    @property
    def bits(self) -> int:
        """Bits of information, not of storage."""
        if self.name == "bool":
            return 1
        return _FLOATS[self.name][0] if self.is_float else int(self.name[1:])

    @property
    def is_float(self) -> bool:
        """A floating-point format."""
        return self.name in _FLOATS

    @property
    def is_integer(self) -> bool:
        """A signed or unsigned integer format (bool is neither)."""
        return self.name != "bool" and not self.is_float

    @property
    def signed(self) -> bool:
        """Holds negative values."""
        return self.name[0] != "u" and self.name != "bool"

    @property
    def lo(self) -> int:
        """Least integer."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def hi(self) -> int:
        """Greatest integer."""
        return (1 << (self.bits - self.signed)) - 1

    @property
    def storage(self) -> np.dtype[np.generic]:
        """The numpy dtype that carries one element in memory, unpacked."""
        if self.name == "bool":
            return np.dtype(np.bool_)
        if self.is_float:
            return np.dtype(_FLOATS[self.name][1])
        width = next(w for w in (8, 16, 32, 64) if self.bits <= w)
        return np.dtype(f"{'int' if self.signed else 'uint'}{width}")

    def __str__(self) -> str:
        return self.name


def scalar_of(dtype: np.dtype[np.generic] | type) -> Scalar:
    """The format of a numpy dtype; `ValueError` names a dtype that is none."""
    found = np.dtype(dtype)
    if found == np.bool_:
        return Scalar("bool")
    for name, (_, kind) in _FLOATS.items():
        if found == np.dtype(kind):
            return Scalar(name)
    if found.kind in "iu":
        return Scalar(f"{found.kind}{found.itemsize * 8}")
    raise ValueError(f"no element format for dtype {found}")


F32 = Scalar("f32")
F64 = Scalar("f64")
I8 = Scalar("i8")
U8 = Scalar("u8")
I32 = Scalar("i32")
I64 = Scalar("i64")
BOOL = Scalar("bool")


@dataclass(frozen=True, slots=True)
class TensorType:
    """`u8[1, 64, 56, 56] ~ 0.02@3`: shape, element format, unit (integers that stand for reals)."""

    shape: Shape
    elem: Scalar
    unit: Affine | None = None

    def __post_init__(self) -> None:
        if self.unit is None:
            return
        if not self.elem.is_integer:
            raise ValueError(f"{self.elem} elements have no unit")
        axis = self.unit.axis
        if axis is not None and not 0 <= axis < len(self.shape):
            raise ValueError(f"unit's axis {axis} is not an axis of [{show(self.shape)}]")
        if axis is not None:
            length = self.shape[axis]
            if isinstance(length, int) and len(self.unit.scale) != length:
                raise ValueError(f"{len(self.unit.scale)} scales for {length} channels")
        if self.unit.group is not None:
            self._check_groups(self.unit, self.unit.group)

    def _check_groups(self, unit: Affine, group: int) -> None:
        """Every group has a step, and no product of a step and an element passes 8 bits."""
        channels = len(unit.scale)
        wanted = channels * -(-prod(static(self.shape)) // channels // group)
        if len(unit.steps) != wanted:
            raise ValueError(f"{len(unit.steps)} steps for {wanted} groups of {group}")
        if -self.elem.lo * max(unit.steps) > -I8.lo:
            raise ValueError(f"steps up to {max(unit.steps)} of {self.elem} do not fit 8 bits")

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def is_float(self) -> bool:
        """Float elements."""
        return self.elem.is_float

    @property
    def is_quantized(self) -> bool:
        """Integers that stand for reals."""
        return self.unit is not None

    def __str__(self) -> str:
        text = f"{self.elem}[{show(self.shape)}]"
        return text if self.unit is None else f"{text} ~ {self.unit}"


def f32(*shape: int) -> TensorType:
    """A float32 tensor type."""
    return TensorType(shape, F32)
