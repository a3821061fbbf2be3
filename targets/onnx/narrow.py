"""Constants of fewer than 8 bits, packed; onnxruntime unpacks them once, when it loads the model.

A constant lies in planes of 4, 2 and 1 bits that add up to its own, each packed without gaps in
bytes. Two shifts of unsigned bytes take a plane apart, which every onnxruntime has. All of it hangs
on constants alone and is folded away; without the optimizer it is computed in each run.
Codes are q + 2^(bits−1) for signed elements, so that they are bytes whose zero point has moved.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from qcompile.ir.node import Node
from qcompile.ir.ops.source import Const
from qcompile.ir.types import Array, Scalar
from qcompile.numerics.packing import pack, packed_size
from qcompile.targets.onnx.model import Held, Writer

PLANES = (4, 2, 1)
WORTH = 1024  # bytes that packing must save to be done: what unpacks takes some, too


def is_narrow(node: Node) -> bool:
    """A constant that is stored packed."""
    if not isinstance(node, Const) or not node.elem.is_integer or node.elem.bits >= 8:
        return False
    return node.data.size - packed_size(node.data.size, node.elem.bits) >= WORTH


def lowest(elem: Scalar) -> int:
    """What a code is more than its element: 2^(bits−1), and 0 without a sign."""
    return -elem.lo if elem.signed else 0


def unpacked(w: Writer, node: Const) -> None:
    """The constant in its own storage: codes less what they are more."""
    name, more = codes(w, node), lowest(node.elem)
    if more == 0:
        w.op("Identity", [name], out=w.names[node])
        return
    wrapped = w.op("Add", [name, w.constant(256 - more, np.uint8)], since=14)
    w.cast(wrapped, node.elem.storage, out=w.names[node])


def codes(w: Writer, node: Const) -> str:
    """The constant's codes in u8."""
    if (node, "codes") not in w.variants:
        base = w.names[node]
        shape = tuple(node.data.shape)
        more = lowest(node.elem)
        name, planes = arranged(w, base, shape, node.elem.bits, lambda: _codes(w.load(node), more))
        w.variants[node, "codes"] = name
        w.held.setdefault(node, Held(planes, more))
    return w.variants[node, "codes"]


def _codes(values: Array, more: int) -> Array:
    return (values.astype(np.int16) + more).astype(np.uint8)


def arranged(
    w: Writer, base: str, shape: tuple[int, ...], bits: int, load: Callable[[], Array]
) -> tuple[str, tuple[tuple[str, int], ...]]:
    """Codes that `load` gives, in u8[shape], and the names and bits of the planes they lie in."""
    count, before = prod(shape), 0
    total, planes = "", list[tuple[str, int]]()
    for wide in (p for p in PLANES if p & bits):
        stored = f"{base}~bits{before}"
        w.promise(
            stored, np.dtype(np.uint8), (packed_size(count, wide), 1),
            lambda wide=wide, before=before: _plane(load(), before, wide),
        )  # fmt: skip
        planes.append((stored, wide))
        part = _spread(w, stored, wide, count)
        if wide != bits:
            part = w.op("Reshape", [part, w.constant(shape, np.int64)])
        if before:
            raised = w.op("BitShift", [part, w.constant(before, np.uint8)], direction="LEFT")
            part = w.op("Add", [total, raised], since=14)
        total, before = part, before + wide
    if len(planes) == 1:
        total = w.op("Reshape", [total, w.constant(shape, np.int64)])
    return total, tuple(planes)


def _plane(values: Array, before: int, wide: int) -> Array:
    flat = values.reshape(-1) >> np.uint8(before) & np.uint8((1 << wide) - 1)
    return pack(flat, wide).reshape(-1, 1)


def _spread(w: Writer, stored: str, wide: int, count: int) -> str:
    """u8[bytes, 1] → u8 of `count` elements: each shifted to the top of its byte, then down."""
    up = w.constant([range(8 - wide, -1, -wide)], np.uint8)
    high = w.op("BitShift", [stored, up], direction="LEFT")
    low = w.op("BitShift", [high, w.constant(8 - wide, np.uint8)], direction="RIGHT")
    if count % (8 // wide) == 0:
        return low
    flat = w.op("Reshape", [low, w.constant([-1], np.int64)])
    return w.op("Slice", [flat, w.constant([0], np.int64), w.constant([count], np.int64)])
