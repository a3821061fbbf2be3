"""The greatest few, and writing to places."""

from __future__ import annotations

import numpy as np

from qcompile.frontends.choosing import FEW, greatest, put, written
from qcompile.frontends.onnx_call import Call, Opaque, Translator, axis_of
from qcompile.ir.node import Node


def _top_k(call: Call) -> tuple[Node, ...]:
    """An attribute before opset 10, an input since."""
    x = call.x()
    k = call.integer("k") if call.opset < 10 else call.numbers(1)[0]
    axis = axis_of(call, call.integer("axis", -1), x.type.rank)
    length = x.type.shape[axis]
    if not isinstance(length, int) or not 0 < k <= min(FEW, length) or not x.type.is_float:
        raise Opaque("many, of integers, or of an open length")
    return greatest(x, k, axis, length, largest=call.flag("largest", default=True))


def _scatter_elements(call: Call) -> Node:
    x = call.x()
    axis = axis_of(call, call.integer("axis", 0), x.type.rank)
    length = x.type.shape[axis]
    if call.text("reduction", "none") != "none" or not isinstance(length, int):
        raise Opaque("reduces, or writes along an open length")
    found = written(x, call.x(1), call.x(2), axis, length)
    if found is None:
        raise Opaque("many writes, or some rows only")
    return found


def _scatter_nd(call: Call) -> Node:
    """Rows in a row, one after the other, as what a cut of the first axis is written with."""
    x, places = call.x(0), call.known.whole(call.x(1))
    length = x.type.shape[0]
    if call.text("reduction", "none") != "none" or places is None or not isinstance(length, int):
        raise Opaque("reduces, or writes to places known at run time")
    if places.ndim != 2 or places.shape[1] != 1 or not places.size:
        raise Opaque("places in several axes")
    row = places[:, 0]
    start = int(row[0]) + (length if row[0] < 0 else 0)
    if not np.array_equal(row - row[0], np.arange(len(row))):
        raise Opaque("places in another order")
    return put(x, call.x(2), 0, start, start + len(row))


CHOOSE: dict[str, Translator] = {
    "ScatterElements": _scatter_elements,
    "ScatterND": _scatter_nd,
    "TopK": _top_k,
}
