"""Reductions, softmax, argmax."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import numpy as np

from qcompile.errors import BadModel
from qcompile.frontends.onnx_call import Call, Opaque, Translator, axis_of
from qcompile.ir.dims import Dim, is_static, size, static
from qcompile.ir.node import Node
from qcompile.ir.ops import reduce as r
from qcompile.ir.ops.binary import Mul
from qcompile.ir.ops.pointwise import Abs, Log
from qcompile.ir.ops.shape import Reshape
from qcompile.ir.ops.source import const
from qcompile.ir.types import BOOL


def _axes(call: Call) -> tuple[int, ...] | None:
    """An attribute, or an input in newer opsets; None asks for the operand itself."""
    rank = call.kind().rank
    given = call.maybe(1)
    listed = call.integers("axes", ()) if given is None else call.numbers(1)
    if listed:
        return tuple(sorted({axis_of(call, a, rank) for a in listed}))
    if given is not None or not call.has("axes"):
        return None if call.flag("noop_with_empty_axes") else tuple(range(rank))
    return tuple(range(rank))


def _reduction(
    op: Callable[..., Node],
    *,
    before: Callable[[Node], Node] = lambda x: x,
    after: Callable[[Node], Node] = lambda x: x,
) -> Translator:
    def translate(call: Call) -> Node:
        x, axes = before(call.x()), _axes(call)
        if axes is None:
            return after(x)
        keepdims = call.flag("keepdims", default=True)
        return after(op(x, axes, keepdims=keepdims))

    return translate


def _extreme(op: type[r.Reduction], worst: float) -> Callable[..., Node]:
    """Over nothing the result is the worst value there is."""

    def build(x: Node, axes: tuple[int, ...], *, keepdims: bool) -> Node:
        result = op(x, axes, keepdims=keepdims)
        if not any(x.type.shape[a] == 0 for a in axes):
            return result
        elem = x.type.elem
        value = worst
        if not elem.is_float:
            value = int(worst > 0) if elem == BOOL else elem.hi if worst > 0 else elem.lo
        return const(np.full(static(result.type.shape), value, elem.storage))

    return build


def _mean(x: Node, axes: tuple[int, ...], *, keepdims: bool) -> Node:
    if 0 in x.type.shape:
        raise Opaque("the mean of nothing")
    return r.ReduceMean(x, axes, keepdims=keepdims)


def _arg(op: type[r.Arg]) -> Translator:
    def translate(call: Call) -> Node:
        x = call.x()
        axis = axis_of(call, call.integer("axis", 0), x.type.rank)
        keepdims = call.flag("keepdims", default=True)
        return op(x, axis, keepdims, call.flag("select_last_index"))

    return translate


def _softmax(op: type[r.Softmax] | type[r.LogSoftmax]) -> Translator:
    def translate(call: Call) -> Node:
        x = call.x()
        default = -1 if call.opset >= 13 else 1
        axis = axis_of(call, call.integer("axis", default), x.type.rank)
        if call.opset >= 13 or axis == x.type.rank - 1:
            return op(x, axis)
        flat = Reshape(x, (*x.type.shape[:axis], _rest(call, x.type.shape[axis:])))
        return Reshape(op(flat, axis), x.type.shape)

    return translate


def _rest(call: Call, shape: tuple[Dim, ...]) -> Dim:
    """The older softmax runs over all axes from `axis` on at once."""
    if not is_static(shape) and sum(d != 1 for d in shape) > 1:
        raise Opaque("softmax over several open lengths")
    total = size(shape)
    if total == 0:
        raise BadModel(f"{call}: softmax of an empty tensor")
    return total


REDUCE: dict[str, Translator] = {
    "ReduceSum": _reduction(r.ReduceSum),
    "ReduceMean": _reduction(_mean),
    "ReduceMax": _reduction(_extreme(r.ReduceMax, -inf)),
    "ReduceMin": _reduction(_extreme(r.ReduceMin, inf)),
    "ReduceProd": _reduction(r.ReduceProd),
    "ReduceL1": _reduction(r.ReduceSum, before=Abs),
    "ReduceL2": _reduction(r.ReduceL2),
    "ReduceSumSquare": _reduction(r.ReduceSum, before=lambda x: Mul(x, x)),
    "ReduceLogSum": _reduction(r.ReduceSum, after=Log),
    "ReduceLogSumExp": _reduction(_extreme(r.ReduceLogSumExp, -inf)),
    "ArgMax": _arg(r.ArgMax),
    "ArgMin": _arg(r.ArgMin),
    "Softmax": _softmax(r.Softmax),
    "LogSoftmax": _softmax(r.LogSoftmax),
}
