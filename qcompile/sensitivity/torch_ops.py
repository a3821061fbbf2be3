"""Operations of the real graph in torch, on batches of samples; others run in numpy, one by one.

A batch has its samples along axis 0, where the graph's own types have 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from math import prod, sqrt
from typing import Any, TypeAlias

import numpy as np
import torch
from torch.nn import functional as F

from qcompile.errors import UsageError
from qcompile.ir.dims import static
from qcompile.ir.node import Node
from qcompile.ir.ops import pointwise as p
from qcompile.ir.ops.binary import Add, Div, Maximum, Minimum, Mul, Sub
from qcompile.ir.ops.hadamard import Hadamard
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.pool import AveragePool, MaxPool
from qcompile.ir.ops.quant import FakeQuant
from qcompile.ir.ops.reduce import ReduceMax, ReduceMean, ReduceMin, ReduceSum, Softmax
from qcompile.ir.ops.shape import Concat, Pad, Reshape, Slice, Transpose
from qcompile.ir.types import Array, Scalar
from qcompile.ir.unit import Affine
from qcompile.numerics.hadamard import hadamard, kronecker_factors
from qcompile.numerics.rotations import signs

Tensor = torch.Tensor
PIECE = 1 << 15  # elements that stay in a core's cache
Operation: TypeAlias = Callable[..., Tensor]

_UNARY: Mapping[type[Node], Operation] = {
    p.Relu: F.relu,
    p.Sigmoid: torch.sigmoid,
    p.Silu: F.silu,
    p.Tanh: torch.tanh,
    p.HardSwish: F.hardswish,
    p.Gelu: F.gelu,
    p.Abs: torch.abs,
    p.Neg: torch.neg,
    p.Sqrt: torch.sqrt,
    p.Exp: torch.exp,
}
_BINARY: Mapping[type[Node], Operation] = {
    Add: torch.add,
    Sub: torch.sub,
    Mul: torch.mul,
    Div: torch.div,
    Minimum: torch.minimum,
    Maximum: torch.maximum,
}
_REDUCTIONS: Mapping[type[Node], Operation] = {
    ReduceMean: torch.mean,
    ReduceSum: torch.sum,
    ReduceMax: torch.amax,
    ReduceMin: torch.amin,
}


def operation(node: Node, batched: Sequence[bool]) -> Operation:
    """The node as a function of its operands' tensors; `batched` says which of them are batches."""
    found = native(node, batched)
    return _sample_by_sample(node, batched) if found is None else found


def native(node: Node, batched: Sequence[bool]) -> Operation | None:
    """The node in torch, with gradients; None where only numpy knows it."""
    if not node.type.elem.is_float:
        return None
    match node:
        case Conv() if 3 <= node.x.type.rank <= 5 and not any(batched[1:]):
            return _conv(node)
        case ConvTranspose() if 3 <= node.x.type.rank <= 5 and not any(batched[1:]):
            return _conv_transpose(node)
        case MatMul() if _aligned(node, batched):
            return _matmul
        case MaxPool() | AveragePool() | Hadamard():
            return _hadamard(node) if isinstance(node, Hadamard) else _pool(node)
        case Softmax(axis=axis) if axis:
            return _one(lambda x: torch.softmax(x, axis))
        case Reshape() | Transpose() | Concat() | Slice() | Pad():
            return _move(node, batched)
        case _:
            return _pointwise(node, batched)


def overwriting(node: Node) -> Operation | None:
    """The node in the memory of its operand, for those that can."""
    match node:
        case p.Relu():
            return torch.relu_
        case p.Clip(lo=lo, hi=hi):
            return _one(lambda x: torch.clamp_(x, lo, hi))
        case _:
            return None


def tensor(array: Array) -> Tensor:
    """The array's values. `UsageError` for formats that torch does not take from numpy."""
    try:
        return torch.as_tensor(np.array(array))
    except TypeError as error:
        raise UsageError(f"sensitivities are not measured in {array.dtype}: {error}") from error


def snapped(x: Tensor, elem: Scalar, unit: Affine) -> Tensor:
    """scale · (clip(round_half_even(x / scale) + zero_point) − zero_point), as FakeQuant has it.

    Piece by piece, so that every step but the first finds its operand in the cache.
    """
    scale, zero = float(np.float32(unit.scale[0])), unit.zero_point[0]
    found = torch.empty_like(x)
    alike = x.stride() == found.stride()
    pieces = zip(_pieces(x), _pieces(found), strict=True) if alike else ((x, found),)
    for given, piece in pieces:
        torch.div(given, scale, out=piece)
        piece.round_().add_(zero).clamp_(elem.lo, elem.hi).sub_(zero).mul_(scale)
    return found


def _pieces(x: Tensor) -> Sequence[Tensor]:
    """The elements in the order of memory; the whole where they are not dense."""
    last = x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last)
    if not (last or x.is_contiguous()):
        return (x,)
    return torch.split(x.as_strided((x.numel(),), (1,)), PIECE)


def _one(function: Callable[[Tensor], Tensor]) -> Operation:
    return function


def _many(function: Callable[[tuple[Tensor, ...]], Tensor]) -> Operation:
    return lambda *xs: function(xs)


def _sample_by_sample(node: Node, batched: Sequence[bool]) -> Operation:
    def run(*operands: Tensor) -> Tensor:
        arrays: list[Any] = [x.numpy() for x in operands]
        if not any(batched):
            return tensor(node.evaluate(*arrays))
        count = next(len(x) for x, many in zip(arrays, batched, strict=True) if many)
        rows = [
            node.evaluate(
                *(x[i : i + 1] if many else x for x, many in zip(arrays, batched, strict=True))
            )
            for i in range(count)
        ]
        return tensor(np.concatenate(rows) if count > 1 else rows[0])

    return run


def _conv(node: Conv) -> Operation:
    rank = node.x.type.rank - 2
    convolve: Any = (F.conv1d, F.conv2d, F.conv3d)[rank - 1]
    before, after = node.pads[:rank], node.pads[rank:]
    inner = before if before == after else (0,) * rank
    border = [] if before == after else _border(before, after)

    def run(x: Tensor, w: Tensor, bias: Tensor | None = None) -> Tensor:
        wide = F.pad(x, border) if border else x
        return convolve(wide, w, bias, node.stride, inner, node.dilation, node.groups)

    return run


def _conv_transpose(node: ConvTranspose) -> Operation | None:
    rank = node.x.type.rank - 2
    convolve: Any = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[rank - 1]
    before, after, more = node.pads[:rank], node.pads[rank:], node.output_padding
    limits = zip(more, node.stride, node.dilation, strict=True)
    if before != after or any(m >= max(s, d) for m, s, d in limits):
        return None

    def run(x: Tensor, w: Tensor, bias: Tensor | None = None) -> Tensor:
        return convolve(x, w, bias, node.stride, before, more, node.groups, node.dilation)

    return run


def _border(before: Sequence[int], after: Sequence[int]) -> list[int]:
    """torch counts the last axis first."""
    return list(chain(*zip(reversed(before), reversed(after), strict=True)))


def _matmul(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    total = a @ b
    return total if bias is None else total + bias


def _pool(node: MaxPool | AveragePool) -> Operation | None:
    rank = len(node.kernel)
    before, after = node.pads[:rank], node.pads[rank:]
    fits = all(2 * pad <= k for pad, k in zip(before, node.kernel, strict=True))
    if rank != 2 or node.ceil or before != after or not fits:
        return None
    if isinstance(node, MaxPool):
        return _one(lambda x: F.max_pool2d(x, node.kernel, node.stride, before, node.dilation))
    if any(d != 1 for d in node.dilation):
        return None
    counted = node.count_border
    return _one(lambda x: F.avg_pool2d(x, node.kernel, node.stride, before, False, counted))


def _hadamard(node: Hadamard) -> Operation | None:
    """A product for each factor of the matrix, the last one first."""
    if node.axis == 0:
        return None
    share = 1 / sqrt(node.size)
    run = prod(static(node.type.shape[node.axis + 1 :]))
    shape = (node.size, *(1,) * (node.type.rank - node.axis - 1))
    turned = torch.as_tensor(signs(node.size, node.seed).astype(np.float32) * share)
    found = [hadamard(order) for order in kronecker_factors(node.size)]
    matrices = [torch.as_tensor(h.T.astype(np.float32)) for h in found if h is not None]

    def transform(x: Tensor) -> Tensor:
        blocks = x.reshape(*x.shape[: node.axis], -1, *shape[:1], *x.shape[node.axis + 1 :])
        total, width = blocks * turned.reshape(shape).to(x.dtype), run
        for matrix in reversed(matrices):
            total = matrix.to(x.dtype) @ total.reshape(-1, len(matrix), width)
            width *= len(matrix)
        return total.reshape(x.shape)

    return transform


def _move(node: Node, batched: Sequence[bool]) -> Operation | None:
    match node:
        case Reshape() if batched[0]:
            rest = static(node.type.shape[1:])
            return _one(lambda x: x.reshape(len(x), *rest))
        case Transpose(perm=perm) if perm[0] == 0:
            return _one(lambda x: x.permute(perm))
        case Concat(axis=axis) if axis and len(set(batched)) == 1:
            return _many(lambda xs: torch.cat(xs, axis))
        case Slice(axes=axes, steps=steps) if 0 not in axes and min(steps, default=1) > 0:
            index = [slice(None)] * node.x.type.rank
            for axis, start, stop, step in zip(axes, node.starts, node.stops, steps, strict=True):
                index[axis] = slice(start, stop, step)
            return _one(lambda x: x[tuple(index)])
        case Pad(mode="constant", pads=pads):
            rank = node.x.type.rank
            border = _border(pads[:rank], pads[rank:])
            inside = pads[0] == pads[rank] == 0
            return _one(lambda x: F.pad(x, border, value=node.value)) if inside else None
        case _:
            return None


def _pointwise(node: Node, batched: Sequence[bool]) -> Operation | None:
    kind = type(node)
    match node:
        case p.Clip(lo=lo, hi=hi):
            return _one(lambda x: torch.clamp(x, lo, hi))
        case p.LeakyRelu(alpha=alpha):
            return _one(lambda x: F.leaky_relu(x, alpha))
        case ReduceMean() | ReduceSum() | ReduceMax() | ReduceMin() if 0 not in node.axes:
            reduce, axes, kept = _REDUCTIONS[kind], node.axes, node.keepdims
            return _one(lambda x: reduce(x, axes, kept) if axes else x)
        case FakeQuant(elem=elem, unit=unit) if unit.per_tensor:
            return _one(lambda x: snapped(x, elem, unit))
        case _ if kind in _BINARY and _aligned(node, batched):
            return _BINARY[kind]
        case _:
            return _UNARY.get(kind)


def _aligned(node: Node, batched: Sequence[bool]) -> bool:
    """Batches have the result's rank, so that their samples lie along its first axis."""
    ranks = [o.type.rank for o, many in zip(node.operands, batched, strict=True) if many]
    if isinstance(node, MatMul) and len(batched) > 1 and batched[1] and node.type.rank < 3:
        return False
    return all(rank == node.type.rank for rank in ranks)
