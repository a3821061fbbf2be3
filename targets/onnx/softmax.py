"""The integer softmax: unsigned 64-bit products and shifts, one signed division."""

from __future__ import annotations

import numpy as np

from qcompile.ir.ops.integer import PROBABILITY_BITS, SoftmaxInteger
from qcompile.targets.onnx.model import Writer
from qcompile.targets.onnx.reducing import reduced


def softmax_integer(w: Writer, node: SoftmaxInteger) -> None:
    """The formula of `SoftmaxInteger`, whose values are all non-negative."""
    q = w.cast(w.value(node.x), np.int64)
    greatest = reduced(w, "ReduceMax", q, (node.axis,), keepdims=True)
    distance = w.cast(w.op("Sub", [greatest, q]), np.uint64)
    y = _right(w, _times(w, distance, node.numbers.value[0]), node.numbers.shift)
    octave = _right(w, y, 15)
    rest = w.op("Sub", [y, _shift(w, octave, 15, "LEFT")])
    g = w.op("Sub", [w.constant(1 << 15, np.uint64), rest])
    p = _right(w, _times(w, g, 2597), 15)
    for coefficient in (7368, 22803):
        p = _right(w, w.op("Mul", [g, _plus(w, p, coefficient)]), 15)
    places = w.op("Min", [_plus(w, octave, 1), w.constant(62, np.uint64)])
    power = _shift(w, _plus(w, p, 1 << 15), 15, "LEFT")
    e = w.op("BitShift", [power, places], direction="RIGHT")
    _divide(w, node, e)


def _divide(w: Writer, node: SoftmaxInteger, e: str) -> None:
    """(e · 2^30 + total >> 1) div total: non-negative, so truncation is the floor."""
    total = reduced(w, "ReduceSum", w.cast(e, np.int64), (node.axis,), keepdims=True)
    half = _right(w, w.cast(total, np.uint64), 1)
    raised = w.op("Add", [_shift(w, e, PROBABILITY_BITS, "LEFT"), half])
    quotient = w.op("Div", [w.cast(raised, np.int64), total])
    w.cast(quotient, np.int32, out=w.names[node])


def _times(w: Writer, x: str, factor: int) -> str:
    return w.op("Mul", [x, w.constant(factor, np.uint64)])


def _plus(w: Writer, x: str, term: int) -> str:
    return w.op("Add", [x, w.constant(term, np.uint64)])


def _right(w: Writer, x: str, places: int) -> str:
    return x if places == 0 else _shift(w, x, places, "RIGHT")


def _shift(w: Writer, x: str, places: int, direction: str) -> str:
    return w.op("BitShift", [x, w.constant(places, np.uint64)], direction=direction)
