"""Convolutions and matrix products."""

from __future__ import annotations

from collections.abc import Sequence

from qcompile.frontends.aten_call import (
    Call,
    Family,
    each,
    operand,
    permute,
    reshape,
)
from qcompile.ir.dims import static
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add, Mul
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul

Lengths = int | Sequence[int]


def _conv(
    call: Call,
    x: Node,
    weight: Node,
    bias: Node | None = None,
    stride: Lengths = 1,
    padding: Lengths | str = 0,
    dilation: Lengths = 1,
    groups: int = 1,
) -> Node:
    n = weight.type.rank - 2
    dilation = each(dilation, n)
    y = Conv(
        _batched(x, n),
        weight,
        bias,
        stride=each(stride, n),
        pads=_pads(padding, static(weight.type.shape[2:]), dilation),
        dilation=dilation,
        groups=groups,
    )
    return reshape(y, call.shape) if x.type.rank == n + 1 else y


def _conv_transpose(
    call: Call,
    x: Node,
    weight: Node,
    bias: Node | None = None,
    stride: Lengths = 1,
    padding: Lengths = 0,
    output_padding: Lengths = 0,
    groups: int = 1,
    dilation: Lengths = 1,
) -> Node:
    n = weight.type.rank - 2
    y = ConvTranspose(
        _batched(x, n),
        weight,
        bias,
        stride=each(stride, n),
        pads=each(padding, n) * 2,
        dilation=each(dilation, n),
        output_padding=each(output_padding, n),
        groups=groups,
    )
    return reshape(y, call.shape) if x.type.rank == n + 1 else y


def _convolution(
    call: Call,
    x: Node,
    weight: Node,
    bias: Node | None,
    stride: Lengths,
    padding: Lengths,
    dilation: Lengths,
    transposed: bool,
    output_padding: Lengths,
    groups: int,
    *_: object,
) -> Node:
    if not transposed:
        return _conv(call, x, weight, bias, stride, padding, dilation, groups)
    return _conv_transpose(call, x, weight, bias, stride, padding, output_padding, groups, dilation)


def _batched(x: Node, n: int) -> Node:
    return reshape(x, (1, *x.type.shape)) if x.type.rank == n + 1 else x


def _pads(
    padding: Lengths | str, kernel: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[int, ...]:
    if padding == "same":
        room = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        return (*(r // 2 for r in room), *(r - r // 2 for r in room))
    if isinstance(padding, str):
        return (0,) * (2 * len(kernel))
    return each(padding, len(kernel)) * 2


def _linear(call: Call, x: Node, weight: Node, bias: Node | None = None) -> Node:
    return _product(call, x, permute(weight, (1, 0)), bias)


def _matmul(call: Call, a: Node, b: Node) -> Node:
    return _product(call, a, b, None)


def _product(call: Call, a: Node, b: Node, bias: Node | None) -> Node:
    """a @ b + bias, where a vector a is a row and a vector b a column."""
    row = reshape(a, (1, *a.type.shape)) if a.type.rank == 1 else a
    column = reshape(b, (*b.type.shape, 1)) if b.type.rank == 1 else b
    y = MatMul(row, column, bias)
    return reshape(y, call.shape) if a.type.rank == 1 or b.type.rank == 1 else y


def _addmm(
    call: Call, bias: Node, mat1: Node, mat2: Node, *, beta: float = 1, alpha: float = 1
) -> Node:
    if beta == alpha == 1 and bias.type.shape == call.shape[-1:]:
        return MatMul(mat1, mat2, bias)
    product: Node = MatMul(mat1, mat2)
    if alpha != 1:
        product = Mul(product, operand(alpha, call.elem))
    if beta == 0:
        return product
    return Add(product, bias if beta == 1 else Mul(bias, operand(beta, call.elem)))


def _outer(call: Call, a: Node, b: Node) -> Node:
    return Mul(reshape(a, (*a.type.shape, 1)), reshape(b, (1, *b.type.shape)))


LINEAR: Family = {
    "conv1d": _conv,
    "conv2d": _conv,
    "conv3d": _conv,
    "conv_transpose1d": _conv_transpose,
    "conv_transpose2d": _conv_transpose,
    "conv_transpose3d": _conv_transpose,
    "convolution": _convolution,
    "linear": _linear,
    "addmm": _addmm,
    "baddbmm": _addmm,
    "mm": _matmul,
    "bmm": _matmul,
    "mv": _matmul,
    "matmul": _matmul,
    "dot": _matmul,
    "outer": _outer,
}
