"""Changing constants: scaled weights are promises of products, biases count in their sum's unit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.ir.blob import Blob, blob
from qcompile.ir.ops.source import Const, const
from qcompile.ir.types import Array
from qcompile.ir.unit import Affine
from qcompile.numerics.exact import INT32_MAX

IN_MEMORY = 1 << 22  # bytes; larger results are computed when asked for instead of kept


def scaled(w: Const, factor: NDArray[Any], *, axis: int | None) -> Const:
    """w · factor in float64, rounded once to w's format; `axis` names a vector factor's axis."""
    spread = factor
    if axis is not None:
        spread = factor.reshape(tuple(-1 if i == axis else 1 for i in range(w.type.rank)))
    source, kind = w.data, w.type.elem.storage

    def load() -> Array:
        return (np.asarray(source.array(), np.float64) * spread).astype(kind)

    lazy = Blob(source.shape, source.dtype, load)
    return Const(blob(load()) if lazy.nbytes <= IN_MEMORY else lazy, w.elem, name=w.name)


def accumulator_bias(bias: Const, unit: Affine) -> Const:
    """round(b / scale) in i32, ties to even; the axis of the unit is the bias's only one."""
    steps = np.rint(bias.array.astype(np.float64) / np.array(unit.scale, np.float64))
    held = np.clip(steps, -INT32_MAX, INT32_MAX).astype(np.int32)
    own = Affine(unit.scale, axis=None if unit.axis is None else 0)
    return const(held, unit=own, name=bias.name)
