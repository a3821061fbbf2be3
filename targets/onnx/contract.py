"""Convolution, transposed convolution and matrix product, on floats and on integers.

On integers: ConvInteger and MatMulInteger on unsigned bytes, and int32 additions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.targets.onnx.bytes8 import Part, input_parts, sizes, weight_parts
from qcompile.targets.onnx.model import Handler, Writer
from qcompile.targets.onnx.pointwise import centred


def conv(w: Writer, node: Conv) -> None:
    """Conv, or ConvInteger."""
    geometry: dict[str, Any] = {
        "kernel_shape": node.window.kernel,
        "strides": node.stride,
        "pads": node.pads,
        "dilations": node.dilation,
        "group": node.groups,
    }
    if node.type.unit is None:
        operands = [w.value(o) for o in node.operands]
        w.op("Conv", operands, out=w.names[node], **geometry)
        return
    parts = _products(w, "ConvInteger", input_parts(w, node.x), weight_parts(w, node.w), **geometry)
    _finish(w, node, parts, _spread_bias(w, node.bias, node.type.rank))


def matmul(w: Writer, node: MatMul) -> None:
    """MatMul or Gemm, or MatMulInteger; wide integers by MatMul on int32."""
    if node.type.unit is None:
        _float_matmul(w, node)
        return
    bias = None if node.bias is None else w.value(node.bias)
    if max(node.a.type.elem.bits, node.b.type.elem.bits) > 8:
        product = w.op("MatMul", [centred(w, node.a), centred(w, node.b)])
        _finish(w, node, [product], bias)
        return
    parts = _products(w, "MatMulInteger", input_parts(w, node.a), weight_parts(w, node.b))
    _finish(w, node, parts, bias)


def _float_matmul(w: Writer, node: MatMul) -> None:
    a, b, *bias = (w.value(o) for o in node.operands)
    if not bias:
        w.op("MatMul", [a, b], out=w.names[node])
        return
    if node.a.type.rank == node.b.type.rank == 2:
        w.op("Gemm", [a, b, *bias], out=w.names[node])
        return
    w.op("Add", [w.op("MatMul", [a, b]), *bias], out=w.names[node])


def _products(
    w: Writer, kind: str, left: list[Part], right: list[Part], **geometry: Any
) -> list[str]:
    """Every product of a left and a right part, times their factors."""
    found: list[str] = []
    for a in left:
        for b in right:
            zeros = [w.constant(p.zero_point, np.uint8) for p in (a, b)]
            product = w.op(kind, [a.name, b.name, *zeros], **geometry)
            factor = a.factor * b.factor
            if factor != 1:
                product = w.op("Mul", [product, w.constant(factor, np.int32)])
            found.append(product)
    return found


def _spread_bias(w: Writer, bias: Node | None, rank: int) -> str | None:
    """The bias as [1, channels, 1, …]."""
    if bias is None:
        return None
    name = f"{w.names[bias]}~spread{rank}"
    shape = (1, *sizes(bias.type), *(1,) * (rank - 2))
    if w.is_constant(bias):
        if name not in w.initializers:
            w.promise(name, bias.type.elem.storage, shape, lambda: w.load(bias).reshape(shape))
        return name
    return w.op("Reshape", [w.value(bias), w.constant(shape, np.int64)])


def _finish(w: Writer, node: Node, terms: list[str], bias: str | None) -> None:
    """Adds the terms up; the last operator defines the node's value."""
    rest = [*terms, *([] if bias is None else [bias])]
    total = rest.pop(0)
    while len(rest) > 1:
        total = w.op("Add", [total, rest.pop(0)])
    if rest:
        w.op("Add", [total, rest[0]], out=w.names[node])
        return
    w.nodes[-1].output[0] = w.names[node]
    w.nodes[-1].name = w.names[node]


def conv_transpose(w: Writer, node: ConvTranspose) -> None:
    """ConvTranspose; on integers a ConvInteger over x with zeros between its values."""
    if node.type.unit is None:
        w.op(
            "ConvTranspose",
            [w.value(o) for o in node.operands],
            out=w.names[node],
            kernel_shape=node.window.kernel,
            strides=node.stride,
            pads=node.pads,
            dilations=node.dilation,
            output_padding=node.output_padding,
            group=node.groups,
        )
        return
    border = _border(node)
    left = [_stretched(w, node, part, border) for part in input_parts(w, node.x)]
    right = [_flipped(w, node, part) for part in weight_parts(w, node.w)]
    parts = _products(
        w,
        "ConvInteger",
        left,
        right,
        kernel_shape=node.window.kernel,
        dilations=node.dilation,
        pads=border.kept,
        group=node.groups,
    )
    _finish(w, node, parts, _spread_bias(w, node.bias, node.type.rank))


@dataclass(frozen=True, slots=True)
class _Border:
    """The convolution's padding: `kept` by it, and `cut` from the stretched input before."""

    kept: tuple[int, ...]
    cut: tuple[int, ...]


def _border(node: ConvTranspose) -> _Border:
    n, span = len(node.stride), node.window.span
    before = [span[i] - 1 - node.pads[i] for i in range(n)]
    after = [span[i] - 1 - node.pads[n + i] + node.output_padding[i] for i in range(n)]
    both = (*before, *after)
    return _Border(tuple(max(p, 0) for p in both), tuple(max(-p, 0) for p in both))


def _stretched(w: Writer, node: ConvTranspose, part: Part, border: _Border) -> Part:
    """stride − 1 zeros between neighbours, by padding an axis behind each spatial one."""
    n, c, *spatial = sizes(node.x.type)
    name = part.name
    lengths = tuple((s - 1) * t + 1 for s, t in zip(spatial, node.stride, strict=True))
    if any(t > 1 for t in node.stride):
        split = [d for s in spatial for d in (s, 1)]
        name = w.op("Reshape", [name, w.constant((n, c, *split), np.int64)])
        room = [d for t in node.stride for d in (0, t - 1)]
        pads = w.constant((*(0,) * (2 + len(split)), 0, 0, *room), np.int64)
        name = w.op("Pad", [name, pads, w.constant(part.zero_point, np.uint8)])
        joined = (n, c, *(s * t for s, t in zip(spatial, node.stride, strict=True)))
        name = w.op("Reshape", [name, w.constant(joined, np.int64)])
    axes = range(len(spatial))
    starts = [border.cut[i] for i in axes]
    stops = [lengths[i] - border.cut[len(spatial) + i] for i in axes]
    if any(t > 1 for t in node.stride) or any(border.cut):
        edges = [w.constant(v, np.int64) for v in (starts, stops, [2 + i for i in axes])]
        name = w.op("Slice", [name, *edges])
    return Part(name, part.zero_point, part.factor)


def _flipped(w: Writer, node: ConvTranspose, part: Part) -> Part:
    """[c, o/groups, *kernel] → [o, c/groups, *kernel] with the kernel reversed."""
    c, each, *kernel = sizes(node.w.type)
    groups, n = node.groups, len(kernel)
    apart = w.constant((groups, c // groups, each, *kernel), np.int64)
    name = w.op("Reshape", [part.name, apart])
    name = w.op("Transpose", [name], perm=[0, 2, 1, *range(3, 3 + n)])
    last, least = np.full(n, -1), np.full(n, np.iinfo(np.int64).min)
    edges = [w.constant(v, np.int64) for v in (last, least, [3 + i for i in range(n)], last)]
    name = w.op("Slice", [name, *edges])
    whole = w.constant((groups * each, c // groups, *kernel), np.int64)
    return Part(w.op("Reshape", [name, whole]), part.zero_point, part.factor)


CONTRACTIONS: dict[type[Node], Handler] = {
    Conv: conv,
    ConvTranspose: conv_transpose,
    MatMul: matmul,
}
