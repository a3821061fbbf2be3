"""Where values come from: graph inputs and constants."""

from __future__ import annotations

import numpy as np

from qcompile.ir.blob import Blob, blob
from qcompile.ir.dims import static
from qcompile.ir.node import Node, op
from qcompile.ir.types import Array, Scalar, TensorType, scalar_of
from qcompile.ir.unit import Affine


@op
class Input(Node):
    """A value that the caller gives, of the declared type."""

    declared: TensorType

    def infer(self) -> TensorType:
        return self.declared


@op
class Const(Node):
    """A constant. `elem` may be narrower than the blob's storage (i4 in int8)."""

    data: Blob
    elem: Scalar
    unit: Affine | None = None

    def infer(self) -> TensorType:
        self.require(
            self.data.dtype == self.elem.storage,
            f"{self.elem} is stored as {self.elem.storage}, not as {self.data.dtype}",
        )
        return TensorType(self.data.shape, self.elem, self.unit)

    def evaluate(self, *operands: Array) -> Array:
        return self.data.array()

    @property
    def array(self) -> Array:
        """The value, read-only."""
        return self.data.array()


def const(
    array: Array | float | int,
    *,
    elem: Scalar | None = None,
    unit: Affine | None = None,
    name: str = "",
) -> Const:
    """A constant from an array; the element format is the array's unless given."""
    values = np.asarray(array)
    kind = scalar_of(values.dtype) if elem is None else elem
    return Const(blob(values.astype(kind.storage, copy=False)), kind, unit, name=name)


def input_shape(node: Input) -> tuple[int, ...]:
    """The static shape of an input; `ValueError` names open lengths."""
    return static(node.declared.shape)
