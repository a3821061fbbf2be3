"""Reductions over axes."""

from __future__ import annotations

from collections.abc import Sequence

from qcompile.frontends.aten_call import (
    Call,
    Family,
    Refusal,
    Translator,
    axes_of,
    axis_of,
    cast,
    length,
    operand,
    reshape,
)
from qcompile.ir.dims import size
from qcompile.ir.node import Node
from qcompile.ir.ops import reduce as r
from qcompile.ir.ops.binary import Mul, Sub
from qcompile.ir.ops.pointwise import Abs, Sqrt
from qcompile.ir.types import BOOL

Dims = int | Sequence[int] | None


def _over(make: type[r.Reduction]) -> Translator:
    """make(x) over the axes named, or over all."""

    def translate(
        call: Call, x: Node, dims: Dims = None, keepdim: bool = False, **_: object
    ) -> Node:
        if x.type.rank == 0:
            return cast(x, call.elem)
        return make(cast(x, call.elem), axes_of(x, dims), bool(keepdim))

    return translate


def _with_index(make: type[r.Reduction], find: type[r.Arg]) -> Translator:
    """The extreme values along one axis, and where they are."""

    def translate(call: Call, x: Node, dim: int, keepdim: bool = False) -> tuple[Node, Node]:
        axis = axis_of(x, dim)
        return make(x, (axis,), bool(keepdim)), find(x, axis, bool(keepdim))

    return translate


def _arg(find: type[r.Arg]) -> Translator:
    """Where the extreme value is, along one axis or in all elements."""

    def translate(call: Call, x: Node, dim: int | None = None, keepdim: bool = False) -> Node:
        if dim is None:
            return reshape(find(reshape(x, (size(x.type.shape),)), 0, keepdims=False), call.shape)
        return find(x, axis_of(x, dim), bool(keepdim))

    return translate


def _truth(make: type[r.Reduction]) -> Translator:
    """any is the greatest of truth values, all the least."""

    def translate(call: Call, x: Node, dims: Dims = None, keepdim: bool = False) -> Node:
        return make(cast(x, BOOL), axes_of(x, dims), bool(keepdim))

    return translate


def _variance(
    call: Call,
    x: Node,
    dims: Dims = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
) -> Node:
    """Σ (x − mean)² / (count − correction)."""
    axes = axes_of(x, dims)
    centred = Sub(x, r.ReduceMean(x, axes))
    square = r.ReduceMean(Mul(centred, centred), axes, bool(keepdim))
    count = 1
    for axis in axes:
        count *= length(x, axis)
    factor = count / (count - (1 if correction is None else correction))
    return square if factor == 1 else Mul(square, operand(factor, call.elem))


def _variance_of(
    call: Call, x: Node, dims: Dims = None, unbiased: bool = True, keepdim: bool = False
) -> Node:
    return _variance(call, x, dims, correction=int(unbiased), keepdim=keepdim)


def _variance_and_mean(
    call: Call,
    x: Node,
    dims: Dims = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
) -> tuple[Node, Node]:
    mean = r.ReduceMean(x, axes_of(x, dims), bool(keepdim))
    return _variance(call, x, dims, correction=correction, keepdim=keepdim), mean


def _deviation(
    call: Call,
    x: Node,
    dims: Dims = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
) -> Node:
    return Sqrt(_variance(call, x, dims, correction=correction, keepdim=keepdim))


def _vector_norm(
    call: Call, x: Node, order: float = 2, dims: Dims = None, keepdim: bool = False, **_: object
) -> Node:
    axes = axes_of(x, dims)
    match order:
        case 2:
            return r.ReduceL2(x, axes, bool(keepdim))
        case 1:
            return r.ReduceSum(Abs(x), axes, bool(keepdim))
        case _ if order == float("inf"):
            return r.ReduceMax(Abs(x), axes, bool(keepdim))
        case _:
            raise Refusal(f"norm of order {order}")


REDUCE: Family = {
    "mean": _over(r.ReduceMean),
    "sum": _over(r.ReduceSum),
    "prod": _over(r.ReduceProd),
    "amax": _over(r.ReduceMax),
    "amin": _over(r.ReduceMin),
    "max.default": _over(r.ReduceMax),
    "min.default": _over(r.ReduceMin),
    "max.dim": _with_index(r.ReduceMax, r.ArgMax),
    "min.dim": _with_index(r.ReduceMin, r.ArgMin),
    "argmax": _arg(r.ArgMax),
    "argmin": _arg(r.ArgMin),
    "any": _truth(r.ReduceMax),
    "all": _truth(r.ReduceMin),
    "logsumexp": _over(r.ReduceLogSumExp),
    "var.default": _variance_of,
    "var.dim": _variance_of,
    "var.correction": _variance,
    "std.correction": _deviation,
    "var_mean.correction": _variance_and_mean,
    "linalg_vector_norm": _vector_norm,
    "norm.ScalarOpt_dim": _vector_norm,
}
