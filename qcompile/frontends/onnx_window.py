"""Sliding windows: padding in all its forms, and the pools."""

from __future__ import annotations

from qcompile.errors import BadModel
from qcompile.frontends.onnx_call import Call, Opaque, Translator
from qcompile.ir.dims import Dim
from qcompile.ir.node import Node
from qcompile.ir.ops.pool import AveragePool, MaxPool
from qcompile.ir.ops.reduce import ReduceMax, ReduceMean


def spatial_rank(call: Call, x: Node) -> int:
    """The number of axes behind batch and channels."""
    if x.type.rank < 3:
        raise BadModel(f"{call}: input is {x.type}, wants batch, channels and spatial axes")
    return x.type.rank - 2


def same_pads(
    call: Call, lengths: tuple[Dim, ...], span: tuple[int, ...], stride: tuple[int, ...]
) -> tuple[int, ...]:
    """All pads before, then all after; SAME gives ⌈length / stride⌉ windows."""
    n = len(span)
    mode = call.text("auto_pad", "NOTSET")
    if mode == "NOTSET":
        return call.integers("pads", (0,) * (2 * n))
    if mode == "VALID":
        return (0,) * (2 * n)
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        raise BadModel(f"{call}: auto_pad is {mode!r}")
    totals = [_total(d, e, s) for d, e, s in zip(lengths, span, stride, strict=True)]
    small, large = tuple(t // 2 for t in totals), tuple(t - t // 2 for t in totals)
    return (*small, *large) if mode == "SAME_UPPER" else (*large, *small)


def _total(length: Dim, span: int, stride: int) -> int:
    if isinstance(length, int):
        return max((-(-length // stride) - 1) * stride + span - length, 0)
    if stride == 1:
        return span - 1
    raise Opaque("auto_pad SAME on an open length")


def _geometry(call: Call) -> tuple[tuple[int, ...], ...]:
    """kernel, stride, pads, dilation."""
    x = call.x()
    n = spatial_rank(call, x)
    kernel = call.integers("kernel_shape")
    stride, dilation = call.integers("strides", (1,) * n), call.integers("dilations", (1,) * n)
    span = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    return kernel, stride, same_pads(call, x.type.shape[2:], span, stride), dilation


def _max_pool(call: Call) -> Node:
    if len(call.wanted) > 1 and call.wanted[1]:
        raise Opaque("the indices of the maxima are used")
    return MaxPool(call.x(), *_geometry(call), ceil=call.flag("ceil_mode"))


def _average_pool(call: Call) -> Node:
    border = call.flag("count_include_pad")
    return AveragePool(call.x(), *_geometry(call), ceil=call.flag("ceil_mode"), count_border=border)


def _spatial(call: Call) -> tuple[int, ...]:
    return tuple(range(2, 2 + spatial_rank(call, call.x())))


WINDOW: dict[str, Translator] = {
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": lambda call: ReduceMean(call.x(), _spatial(call)),
    "GlobalMaxPool": lambda call: ReduceMax(call.x(), _spatial(call)),
}
