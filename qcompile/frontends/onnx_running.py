"""Running sums and triangles."""

from __future__ import annotations

from typing import Any

import numpy as np

from qcompile.frontends.onnx_call import Call, Opaque, Translator, axis_of, scalar
from qcompile.frontends.running_sum import LONGEST, running_sum
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Where
from qcompile.ir.ops.source import const


def _cumsum(call: Call) -> Node:
    x = call.x()
    axis = axis_of(call, call.numbers(1)[0], x.type.rank)
    length = x.type.shape[axis]
    if not isinstance(length, int) or length > LONGEST:
        raise Opaque("a running sum of open length")
    backwards, before = call.flag("reverse"), call.flag("exclusive")
    return running_sum(x, axis, length, backwards=backwards, before=before)


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
