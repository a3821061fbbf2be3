"""Convolutions and matrix products."""

from __future__ import annotations

from typing import Any

import numpy as np

from qcompile.errors import BadModel
from qcompile.frontends.onnx_call import Call, Opaque, Translator, scalar
from qcompile.frontends.onnx_window import same_pads, spatial_rank
from qcompile.ir.dims import static
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add, Mul
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.shape import Reshape, Transpose
from qcompile.ir.ops.source import Const, const


def _conv(call: Call) -> Node:
    _float(call)
    return convolution(call, call.x(0), call.x(1), call.maybe(2))


def convolution(call: Call, x: Node, w: Node, bias: Node | None) -> Node:
    """Conv on these operands, by the call's attributes."""
    n = spatial_rank(call, x)
    kernel = static(w.type.shape[2:])
    if call.integers("kernel_shape", kernel) != kernel:
        raise BadModel(f"{call}: kernel_shape differs from the weight's {list(kernel)}")
    stride, dilation = call.integers("strides", (1,) * n), call.integers("dilations", (1,) * n)
    span = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    pads = same_pads(call, x.type.shape[2:], span, stride)
    return Conv(x, w, bias, stride, pads, dilation, call.integer("group", 1))


def _conv_transpose(call: Call) -> Node:
    x, w = call.x(0), call.x(1)
    _float(call)
    n = spatial_rank(call, x)
    kernel = static(w.type.shape[2:])
    if call.integers("kernel_shape", kernel) != kernel:
        raise BadModel(f"{call}: kernel_shape differs from the weight's {list(kernel)}")
    stride, dilation = call.integers("strides", (1,) * n), call.integers("dilations", (1,) * n)
    extra = call.integers("output_padding", (0,) * n)
    pads, extra = _transpose_pads(call, kernel, stride, dilation, extra)
    groups = call.integer("group", 1)
    return ConvTranspose(x, w, call.maybe(2), stride, pads, dilation, extra, groups)


def _transpose_pads(
    call: Call,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    extra: tuple[int, ...],
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Pads and output padding: stride·(length − 1) + extra + span − wanted is cut off both ends.

    Where that is negative an explicit output_shape gets zeros at the end; SAME, as in onnxruntime,
    stays shorter than stride · length.
    """
    n = len(kernel)
    mode = call.text("auto_pad", "NOTSET")
    wanted = call.integers("output_shape", ())[-n:]
    if not wanted and mode == "NOTSET":
        return call.integers("pads", (0,) * (2 * n)), extra
    if not wanted and mode == "VALID":
        return (0,) * (2 * n), extra
    before: list[int] = []
    after: list[int] = []
    longer: list[int] = []
    for i, length in enumerate(call.kind(0).shape[2:]):
        span = dilation[i] * (kernel[i] - 1) + 1
        total = extra[i] + span - stride[i]
        if wanted:
            if not isinstance(length, int):
                raise Opaque("output_shape of an open length")
            total = stride[i] * (length - 1) + extra[i] + span - wanted[i]
        longer.append(extra[i] + (max(-total, 0) if wanted else 0))
        total = max(total, 0)
        before.append(total // 2 if mode == "SAME_UPPER" else total - total // 2)
        after.append(total - before[-1])
    return (*before, *after), tuple(longer)


def _float(call: Call) -> None:
    if not call.kind(0).is_float:
        raise Opaque("integers without a unit")


def _matmul(call: Call) -> Node:
    a, b = call.x(0), call.x(1)
    _float(call)
    if a.type.rank >= 2 and b.type.rank >= 2:
        return MatMul(a, b)
    if 0 in (a.type.rank, b.type.rank):
        raise BadModel(f"{call}: multiplies a scalar")
    left = Reshape(a, (1, *a.type.shape)) if a.type.rank == 1 else a
    right = Reshape(b, (*b.type.shape, 1)) if b.type.rank == 1 else b
    product = MatMul(left, right)
    shape = list(product.type.shape)
    if b.type.rank == 1:
        del shape[-1]
    if a.type.rank == 1:
        del shape[-1 if b.type.rank == 1 else -2]
    return Reshape(product, tuple(shape))


def _gemm(call: Call) -> Node:
    a, b, c = call.x(0), call.x(1), call.maybe(2)
    _float(call)
    if a.type.rank != 2 or b.type.rank != 2:
        raise BadModel(f"{call}: multiplies {a.type} by {b.type}, wants matrices")
    left = _turned(a) if call.flag("transA") else a
    right = _turned(b) if call.flag("transB") else b
    alpha, beta = call.real("alpha", 1.0), call.real("beta", 1.0)
    right = right if alpha == 1 else _scaled(right, alpha)
    if c is None or beta == 0:
        return MatMul(left, right)
    bias = c if beta == 1 else _scaled(c, beta)
    columns = right.type.shape[1]
    if bias.type.shape == (columns,):
        return MatMul(left, right, bias)
    if bias.type.shape == (1, columns):
        return MatMul(left, right, Reshape(bias, (columns,)))
    return Add(MatMul(left, right), bias)


def _turned(x: Node) -> Node:
    return Transpose(x, (1, 0))


def _scaled(x: Node, factor: float) -> Node:
    if isinstance(x, Const) and x.data.nbytes <= 1 << 16:
        values: Any = x.array
        return const(values * np.asarray(factor, x.data.dtype), name=x.name)
    return Mul(x, scalar(factor, x))


LINEAR: dict[str, Translator] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "MatMul": _matmul,
    "Gemm": _gemm,
}
