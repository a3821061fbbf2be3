"""What contractions have in common on every machine: weights, biases and reach as plain numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.ir.dims import static
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.source import Const
from qcompile.targets.loops.draft import Origin
from qcompile.targets.loops.geometry import conv_axes, transposed_axes

Ints = NDArray[Any]


def halo_of(node: Conv | ConvTranspose) -> tuple[tuple[int, int], ...]:
    """How far outside of x the node reads, per axis of x."""
    out, lengths = static(node.type.shape[2:]), static(node.x.type.shape[2:])
    if isinstance(node, Conv):
        phases = [conv_axes(node.window, out)]
    else:
        phases = list(transposed_axes(node.window, out))
    reach = [
        [axes[i].reach(length) for axes in phases] or [(0, 0)] for i, length in enumerate(lengths)
    ]
    spatial = tuple((max(b for b, _ in r), max(a for _, a in r)) for r in reach)
    return ((0, 0), (0, 0), *spatial)


def zero_of(node: Node) -> int:
    """The integer that stands for real 0."""
    unit = node.type.unit
    return 0 if unit is None else unit.zero_point[0]


def dense_weights(node: Conv | ConvTranspose) -> Ints:
    """Weights less their zero points, as [outputs, channels of the group, *kernel]."""
    assert isinstance(node.w, Const)
    w: Ints = np.asarray(node.w.array)
    if node.w.type.unit is not None:
        w = w.astype(np.int32) - node.w.type.unit.zero_points(w.ndim).astype(np.int32)
    return by_outputs(node, w)


def origin(
    node: Conv | ConvTranspose | MatMul, arrange: Callable[[NDArray[Any]], NDArray[Any]]
) -> Origin:
    """Of what `arrange` makes of `dense_weights` or `product_weights`."""
    if isinstance(node, MatMul):
        assert isinstance(node.b, Const)
        return Origin(node.b, arrange)
    assert isinstance(node.w, Const)
    return Origin(node.w, lambda w: arrange(by_outputs(node, w)))


def by_outputs(node: Conv | ConvTranspose, w: Ints) -> Ints:
    """[outputs, channels of the group, *kernel] of numbers in the order of the node's weights."""
    if isinstance(node, Conv):
        return w
    c, each, *kernel = w.shape
    split = w.reshape(node.groups, c // node.groups, each, *kernel)
    return split.swapaxes(1, 2).reshape(node.groups * each, c // node.groups, *kernel)


def takes_dot(x: Node, weights: Ints) -> bool:
    """Bytes on both sides."""
    small = weights.size == 0 or (weights.min() >= -128 and weights.max() <= 127)
    return x.type.unit is not None and x.type.elem.storage.itemsize == 1 and bool(small)


def product_weights(node: MatMul) -> Ints:
    """The constant right operand less its zero points: [..., k, columns]."""
    assert isinstance(node.b, Const)
    w: Ints = np.asarray(node.b.array)
    if node.b.type.unit is None:
        return w
    return w.astype(np.int32) - node.b.type.unit.zero_points(w.ndim).astype(np.int32)


def bias_of(node: Conv | ConvTranspose | MatMul, weights: Ints, zero: int) -> Ints:
    """bias − zero · Σ weights per output, modulo 2^32."""
    total = -zero * weights.reshape(weights.shape[0], -1).astype(np.int64).sum(1)
    if isinstance(node.bias, Const):
        total = total + np.asarray(node.bias.array).astype(np.int64)
    return total.astype(np.int32)


def is_depthwise(node: Conv) -> bool:
    """Each output channel reads one input channel of its own."""
    _, each, *_ = static(node.w.type.shape)
    return each == 1 and node.groups > 1 and static(node.type.shape)[1] == node.groups
