"""Running sums, of operations that every target has."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.shape import Pad, Reshape, Slice, Transpose
from qcompile.ir.ops.source import const

LONGEST: Final = 4096  # places of a running sum that is worth a matrix


def running_sum(
    x: Node, axis: int, length: int, *, backwards: bool = False, before: bool = False
) -> Node:
    """Σ of the elements up to each place (or from it on), its own left out with `before`.

    Reals are multiplied by a triangle of ones; integers are added in log₂ length steps.
    """
    if not x.type.is_float:
        return _doubled(x, axis, length, backwards=backwards, before=before)
    ones: Any = np.tril(np.ones((length, length), x.type.elem.storage), -1 if before else 0)
    triangle = const(ones if backwards else np.ascontiguousarray(ones.T))
    last = x.type.rank - 1
    if axis == last and x.type.rank >= 2:
        return MatMul(x, triangle)
    if x.type.rank == 1:
        return Reshape(MatMul(Reshape(x, (1, length)), triangle), (length,))
    perm = list(range(x.type.rank))
    perm[axis], perm[last] = last, axis
    return Transpose(MatMul(Transpose(x, tuple(perm)), triangle), tuple(perm))


def _doubled(x: Node, axis: int, length: int, *, backwards: bool, before: bool) -> Node:
    """Hillis and Steele: after the step of width s each place has the sum of 2s."""
    total, shift = _moved(x, axis, length, 1, backwards=backwards) if before else x, 1
    while shift < length:
        total = Add(total, _moved(total, axis, length, shift, backwards=backwards))
        shift *= 2
    return total


def _moved(x: Node, axis: int, length: int, shift: int, *, backwards: bool) -> Node:
    """x moved along an axis, zeros behind it."""
    start, stop = (shift, length) if backwards else (0, length - shift)
    pads = [0] * (2 * x.type.rank)
    pads[axis + (x.type.rank if backwards else 0)] = shift
    return Pad(Slice(x, (axis,), (start,), (stop,), (1,)), tuple(pads))
