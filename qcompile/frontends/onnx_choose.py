"""The greatest few, and writing to places."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qcompile.frontends.choosing import FEW, greatest, put, written
from qcompile.frontends.onnx_call import Call, Opaque, Translator, axis_of
from qcompile.ir.dims import is_static, static
from qcompile.ir.node import Node
from qcompile.ir.ops.source import Const


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
    """A block that leaves out a part of one axis at most, as cuts are written with."""
    x, places = call.x(0), _places(call)
    lengths = x.type.shape[: places.shape[-1]]
    if call.text("reduction", "none") != "none" or not is_static(lengths):
        raise Opaque("reduces, or writes along open lengths")
    places = np.where(places < 0, places + np.array(static(lengths)), places)
    block = places.shape[:-1]
    starts = places.reshape(-1, len(lengths))[0]
    grid = np.moveaxis(np.indices(block), 0, -1) + starts if len(block) == len(lengths) else None
    cut = [axis for axis, (a, b) in enumerate(zip(block, lengths, strict=False)) if a != b]
    if grid is None or not np.array_equal(places, grid) or len(cut) > 1:
        raise Opaque("places in another order")
    axis = cut[0] if cut else 0
    start = int(starts[axis])
    return put(x, call.x(2), axis, start, start + block[axis])


def _places(call: Call) -> NDArray[np.int64]:
    """The indices, at least one vector of them."""
    found = call.x(1)
    if not isinstance(found, Const) or not found.data.size:
        raise Opaque("writes to places known at run time")
    return np.asarray(found.array).astype(np.int64)


CHOOSE: dict[str, Translator] = {
    "ScatterElements": _scatter_elements,
    "ScatterND": _scatter_nd,
    "TopK": _top_k,
}
