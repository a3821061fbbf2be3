"""A contraction's weight as rows: one for each output channel, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.passes.roles import weight

Values = NDArray[Any]


def to_rows(node: Node, w: Values) -> Values:
    """w as [groups, rows, n]: row r of group g is what makes that output, n what it contracts."""
    match node:
        case Conv(groups=groups):
            return w.reshape(groups, w.shape[0] // groups, -1)
        case ConvTranspose(groups=groups):
            inputs, outputs, *kernel = w.shape
            split = w.reshape(groups, inputs // groups, outputs, *kernel)
            turned = np.flip(split, tuple(range(3, split.ndim)))
            return np.moveaxis(turned, 2, 1).reshape(groups, outputs, -1)
        case MatMul():
            stacked = w.reshape(-1, *w.shape[-2:])
            return stacked if _first(node) else stacked.swapaxes(1, 2)
        case _:
            raise AssertionError(f"{node} is no contraction")


def from_rows(node: Node, rows: Values, shape: tuple[int, ...]) -> Values:
    """The inverse of `to_rows`; `shape` is the weight's."""
    match node:
        case Conv():
            return rows.reshape(shape)
        case ConvTranspose(groups=groups):
            inputs, outputs, *kernel = shape
            split = rows.reshape(groups, outputs, inputs // groups, *kernel)
            turned = np.flip(split, tuple(range(3, split.ndim)))
            return np.moveaxis(turned, 1, 2).reshape(shape)
        case MatMul():
            return (rows if _first(node) else rows.swapaxes(1, 2)).reshape(shape)
        case _:
            raise AssertionError(f"{node} is no contraction")


def _first(node: MatMul) -> bool:
    """True when the first operand is the weight."""
    found = weight(node)
    return found is not None and found[1] < 0
