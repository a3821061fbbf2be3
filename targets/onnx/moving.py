"""Values moved about, the same on floats and on integers."""

from __future__ import annotations

from typing import Any

import numpy as np

from qcompile.errors import NotLegal
from qcompile.ir.dims import Symbol
from qcompile.ir.node import Node
from qcompile.ir.ops import shape as s
from qcompile.ir.ops.resize import FRACTION_BITS, ResizeLinear, ResizeNearest
from qcompile.targets.onnx.bytes8 import sizes
from qcompile.targets.onnx.model import Handler, Writer
from qcompile.targets.onnx.pointwise import centred, on_words, word, word_type

_LAST = np.iinfo(np.int64).max


def reshape(w: Writer, node: s.Reshape) -> None:
    """Reshape; the one open length is −1."""
    lengths = [-1 if isinstance(d, Symbol) else d for d in node.shape]
    if lengths.count(-1) > 1:
        raise NotLegal(f"{node}: several open dimensions: give --input-shape")
    shape = w.constant(lengths, np.int64)
    zeros = 1 if 0 in lengths else None
    operands = [w.value(node.x), shape]
    since = 14 if zeros else 13
    w.op("Reshape", operands, out=w.names[node], allowzero=zeros, since=since)


def transpose(w: Writer, node: s.Transpose) -> None:
    """Transpose."""
    w.op("Transpose", [w.value(node.x)], out=w.names[node], perm=node.perm)


def concat(w: Writer, node: s.Concat) -> None:
    """Concat."""
    w.op("Concat", [w.value(x) for x in node.xs], out=w.names[node], axis=node.axis)


def cut(w: Writer, node: s.Slice) -> None:
    """Slice; a stop before index 0 is written as the least integer."""
    stops = [
        _LAST if isinstance(stop, Symbol) else -_LAST if stop < 0 else stop for stop in node.stops
    ]
    lists = (node.starts, stops, node.axes, node.steps)
    w.op(
        "Slice",
        [w.value(node.x), *(w.constant(v, np.int64) for v in lists)],
        out=w.names[node],
    )


def gather(w: Writer, node: s.Gather) -> None:
    """Gather."""
    indices = w.value(node.indices)
    if node.indices.type.elem.storage not in (np.dtype(np.int32), np.dtype(np.int64)):
        indices = w.cast(indices, np.int64)
    w.op("Gather", [w.value(node.x), indices], out=w.names[node], axis=node.axis)


def pad(w: Writer, node: s.Pad) -> None:
    """Pad; what negative pads cut is cut first."""
    x = word(w, node.x)
    rank = node.type.rank
    if min(node.pads, default=0) < 0:
        starts = [max(-p, 0) for p in node.pads[:rank]]
        stops = [min(p, 0) if p < 0 else _LAST for p in node.pads[rank:]]
        x = w.op("Slice", [x, w.constant(starts, np.int64), w.constant(stops, np.int64)])
    grown = w.constant([max(p, 0) for p in node.pads], np.int64)
    fill = [w.constant(node.fill, word_type(node))] if node.mode == "constant" else []
    since = 19 if node.mode == "wrap" else 13
    on_words(w, node, "Pad", [x, grown, *fill], mode=node.mode, since=since)


def expand(w: Writer, node: s.Expand) -> None:
    """Expand."""
    if any(isinstance(d, Symbol) for d in node.shape):
        raise NotLegal(f"{node}: open dimensions: give --input-shape")
    operands = [w.value(node.x), w.constant(node.shape, np.int64)]
    w.op("Expand", operands, out=w.names[node])


def shape_of(w: Writer, node: s.ShapeOf) -> None:
    """Shape."""
    w.op("Shape", [w.value(node.x)], out=w.names[node])


def resize_nearest(w: Writer, node: ResizeNearest) -> None:
    """One Gather for each axis that changes."""
    first = node.type.rank - len(node.indices)
    name = w.value(node.x)
    for i, chosen in enumerate(node.indices):
        out = w.names[node] if i == len(node.indices) - 1 else None
        indices = w.constant(chosen, np.int64)
        name = w.op("Gather", [name, indices], out=out, axis=first + i)


def resize_linear(w: Writer, node: ResizeLinear) -> None:
    """Per axis two Gathers, weighted; in int32 with 7-bit weights on integers."""
    quantized = node.x.type.unit is not None
    kind: Any = np.int32 if quantized else node.type.elem.storage
    one = 1 << FRACTION_BITS if quantized else 1
    name = centred(w, node.x) if quantized else w.value(node.x)
    rank, n = node.type.rank, len(node.low)
    for i in range(n):
        axis = rank - n + i
        weight = np.array(node.weights(i) if quantized else node.frac[i], kind)
        spread = weight.reshape(tuple(-1 if a == axis else 1 for a in range(rank)))
        terms: list[str] = []
        for taps, factor in zip(
            node.taps(i, sizes(node.x.type)[axis]), (one - spread, spread), strict=True
        ):
            tap = w.op("Gather", [name, w.constant(taps, np.int64)], axis=axis)
            terms.append(w.op("Mul", [tap, w.constant(factor, kind)]))
        name = w.op("Add", terms, out=w.names[node] if i == n - 1 else None)


MOVING: dict[type[Node], Handler] = {
    s.Reshape: reshape,
    s.Transpose: transpose,
    s.Concat: concat,
    s.Slice: cut,
    s.Gather: gather,
    s.Pad: pad,
    s.Expand: expand,
    s.ShapeOf: shape_of,
    ResizeNearest: resize_nearest,
    ResizeLinear: resize_linear,
}
