"""Running sums and triangles."""

from __future__ import annotations

from typing import Any

import numpy as np

from qcompile.frontends.onnx_call import Call, Opaque, Translator, axis_of, scalar
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add, Where
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.shape import Pad, Reshape, Slice, Transpose
from qcompile.ir.ops.source import const

LONGEST = 4096  # places of a running sum that is worth a matrix


def _cumsum(call: Call) -> Node:
    x = call.x()
    axis = axis_of(call, call.numbers(1)[0], x.type.rank)
    length = x.type.shape[axis]
    if not isinstance(length, int) or length > LONGEST:
        raise Opaque("a running sum of open length")
    backwards, before = call.flag("reverse"), call.flag("exclusive")
    return running_sum(x, axis, length, backwards=backwards, before=before)


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


def _trilu(call: Call) -> Node:
    """x on one side of the k-th diagonal, 0 on the other."""
    x = call.x()
    k = 0 if call.maybe(1) is None else call.numbers(1)[0]
    rows, columns = x.type.shape[-2:]
    if not isinstance(rows, int) or not isinstance(columns, int):
        raise Opaque("a triangle of open lengths")
    return triangle(x, rows, columns, k, upper=call.flag("upper", default=True))


def triangle(x: Node, rows: int, columns: int, k: int, *, upper: bool) -> Node:
    """x where column − row ≥ k (upper) or ≤ k, else 0."""
    ahead: Any = np.arange(columns)[None] - np.arange(rows)[:, None]
    kept = ahead >= k if upper else ahead <= k
    return Where(const(kept), x, scalar(0, x))


RUNNING: dict[str, Translator] = {"CumSum": _cumsum, "Trilu": _trilu}
