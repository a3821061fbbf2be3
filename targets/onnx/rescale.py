"""Requantize and table lookup in unsigned 64-bit integers, where every operation is defined.

With N = (q − zx) · m + 2^(s−1), which lies in (−2^63, 2^63), the tensor N + 2^63 modulo 2^64 is
that number itself, and shifting it right by s gives floor(N / 2^s) + 2^(63−s): the shift of a
negative number by an unsigned one, exactly, without a proof about the accumulator.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.ir.node import Node
from qcompile.ir.ops.integer import ExpandGroups, Lut, Requantize
from qcompile.ir.ops.quant import expanded
from qcompile.ir.types import Array
from qcompile.ir.unit import Affine
from qcompile.targets.onnx.bytes8 import sizes, unit_of
from qcompile.targets.onnx.model import Writer

_WORD = 1 << 64


def requantize(w: Writer, node: Requantize) -> None:
    """A table for bytes of one unit, otherwise multiply, add, shift, clip."""
    source = node.x.type
    if source.elem.bits <= 8 and unit_of(node.x).per_tensor:
        every = np.arange(source.elem.lo, source.elem.hi + 1).astype(source.elem.storage)
        _look_up(w, node, node.evaluate(every.reshape((-1,) + (1,) * (source.rank - 1))))
        return
    _shift(w, node)


def _shift(w: Writer, node: Requantize) -> None:
    shift, zero = node.numbers.shift, node.unit.zero_point[0]
    early = abs(zero) << shift < 1 << 61  # the zero point joins before the shift
    added = _addend(node) + ((zero << shift) if early else 0)
    wide = w.cast(w.value(node.x), np.uint64)
    product = w.op("Mul", [wide, w.constant(_modulo(node.spread()), np.uint64)])
    total = w.op("Add", [product, w.constant(_modulo(added), np.uint64)])
    if shift > 0:
        total = w.op("BitShift", [total, w.constant(shift, np.uint64)], direction="RIGHT")
    base = 1 << (63 - shift)
    left = 0 if early else zero
    lo, hi = (max(base + bound - left, 0) for bound in (node.lo, node.hi))
    total = w.op("Clip", [total, w.constant(lo, np.uint64), w.constant(hi, np.uint64)])
    never_below = base + node.hi - left < 0  # all values are above the bound, and 0 stands for it
    back = (node.hi if never_below else left - base) % _WORD
    if back % (1 << 8 * node.elem.storage.itemsize) != 0:
        total = w.op("Add", [total, w.constant(back, np.uint64)])
    w.cast(total, node.elem.storage, out=w.names[node])


def _addend(node: Requantize) -> NDArray[Any]:
    """2^63 + 2^(s−1) − zx · m, as Python integers."""
    shift = node.numbers.shift
    half = (1 << shift) >> 1
    zero = unit_of(node.x).zero_points(node.type.rank).astype(object)
    return (1 << 63) + half - zero * node.spread().astype(object)


def _modulo(values: NDArray[Any]) -> NDArray[np.uint64]:
    """Integers modulo 2^64."""
    return (values.astype(object) % _WORD).astype(np.uint64)


def expand_groups(w: Writer, node: ExpandGroups) -> None:
    """step · q of the groups."""
    multiplied(w, node.x, out=w.names[node])


def multiplied(w: Writer, x: Node, *, out: str | None = None) -> str:
    """step · q in i8 of narrow integers in groups, where x is packed by a product of 32-bit
    integers, which every onnxruntime has; other constants are stored as what comes out."""
    unit = unit_of(x)
    if w.is_constant(x) and not w.packs(x):
        whole = out or f"{w.names[x]}~whole"
        return w.promise(whole, np.dtype(np.int8), sizes(x.type), lambda: expanded(w.load(x), unit))
    steps = w.cast(steps_of(w, unit, sizes(x.type)), np.int32)
    return w.cast(w.op("Mul", [w.cast(w.value(x), np.int32), steps]), np.int8, out=out)


def steps_of(w: Writer, unit: Affine, shape: tuple[int, ...]) -> str:
    """The step of every element in u8, computed from one byte for each group."""
    assert unit.group is not None
    axis = 0 if unit.axis is None else unit.axis
    channels = len(unit.scale)
    others = [d for i, d in enumerate(shape) if i != axis or unit.axis is None]
    each, length = np.frombuffer(unit.steps, np.uint8).reshape(channels, -1, 1), prod(others)
    runs = each.shape[1]
    wide = w.constant((channels, runs, unit.group), np.int64)
    name = w.op("Expand", [w.constant(each, np.uint8), wide])
    name = w.op("Reshape", [name, w.constant((channels, -1), np.int64)])
    if runs * unit.group != length:
        name = w.op("Slice", [name, *(w.constant([v], np.int64) for v in (0, length, 1))])
    turned = shape if unit.axis is None else (channels, *others)
    name = w.op("Reshape", [name, w.constant(turned, np.int64)])
    if axis == 0:
        return name
    order = [*range(1, axis + 1), 0, *range(axis + 1, len(shape))]
    return w.op("Transpose", [name], perm=order)


def lut(w: Writer, node: Lut) -> None:
    """table[q − lo]."""
    _look_up(w, node, w.load(node.table))


def _look_up(w: Writer, node: Lut | Requantize, table: Array) -> None:
    """GatherElements on the flattened value: eight times as fast as Gather.

    The table is turned so that index 0 stands for 0; negative values count from its end.
    """
    turned = np.roll(table.reshape(-1), node.x.type.elem.lo)
    flat = w.op("Reshape", [w.value(node.x), w.constant([-1], np.int64)])
    index = w.cast(flat, np.int32)
    values = w.op("GatherElements", [w.constant(turned, turned.dtype), index], axis=0)
    shape = w.constant(sizes(node.type), np.int64)
    w.op("Reshape", [values, shape], out=w.names[node])
