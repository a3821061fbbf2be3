"""Contractions: convolution, transposed convolution, matrix product."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.ir.dims import Dim, Shape, broadcast, static
from qcompile.ir.node import Node, op
from qcompile.ir.ops.window import Window
from qcompile.ir.types import I32, Array, Scalar, TensorType
from qcompile.ir.unit import Affine
from qcompile.numerics import exact

Values = NDArray[Any]


@op
class Conv(Node):
    """y[n,o,p] = Σ_{c,k} x[n, c, stride·p + dilation·k − pad] · w[o,c,k] + bias[o].

    x is [n, c, *spatial], w [o, c/groups, *kernel]; padding is real zero. On integers the sum of
    (x − zx)·(w − zw) in i32, whose unit is the product of the operands' units; so is the bias's.
    """

    x: Node
    w: Node
    bias: Node | None = None
    stride: tuple[int, ...] = (1, 1)
    pads: tuple[int, ...] = (0, 0, 0, 0)
    dilation: tuple[int, ...] = (1, 1)
    groups: int = 1

    @property
    def window(self) -> Window:
        """The kernel's geometry."""
        kernel = static(self.w.type.shape[2:])
        return Window(kernel, self.stride, self.pads, self.dilation)

    def infer(self) -> TensorType:
        x, w = self.x.type, self.w.type
        self.require(x.rank == w.rank >= 3, f"weight of rank {w.rank} on input of rank {x.rank}")
        fan = w.shape[1] * self.groups
        channels = x.shape[1]
        self.require(
            fan == channels or not isinstance(channels, int),
            f"weight takes {fan} channels, input has {channels}",
        )
        out = w.shape[0]
        self.require(
            not isinstance(out, int) or out % self.groups == 0,
            f"{out} output channels do not divide into {self.groups} groups",
        )
        shape = (x.shape[0], out, *self.window.out(x.shape[2:]))
        return accumulator(self, self.bias, shape, channel_axis=1, weight_axis=0)

    def evaluate(self, *operands: Array) -> Array:
        x, w, *bias = operands
        out = static(self.window.out(x.shape[2:]))
        if self.x.type.unit is None:
            padded = self.window.padded(x, 0, out)
            total = _convolve(padded, w, self.window, out, self.groups)
            return _add_bias(total, bias).astype(x.dtype, copy=False)
        padded = self.window.padded(centred(x, self.x.type), 0, out)
        total = _convolve_exactly(padded, centred(w, self.w.type), self.window, out, self.groups)
        return exact.as_int32(_add_bias(total, bias), where=str(self))


@op
class ConvTranspose(Node):
    """The transpose of `Conv` with respect to x; w is [c, o/groups, *kernel]."""

    x: Node
    w: Node
    bias: Node | None = None
    stride: tuple[int, ...] = (1, 1)
    pads: tuple[int, ...] = (0, 0, 0, 0)
    dilation: tuple[int, ...] = (1, 1)
    output_padding: tuple[int, ...] = (0, 0)
    groups: int = 1

    @property
    def window(self) -> Window:
        """The kernel's geometry."""
        return Window(static(self.w.type.shape[2:]), self.stride, self.pads, self.dilation)

    def infer(self) -> TensorType:
        x, w = self.x.type, self.w.type
        self.require(x.rank == w.rank >= 3, f"weight of rank {w.rank} on input of rank {x.rank}")
        self.require(
            x.shape[1] == w.shape[0] or not isinstance(x.shape[1], int),
            f"weight takes {w.shape[0]} channels, input has {x.shape[1]}",
        )
        self.require(
            not isinstance(w.shape[0], int) or w.shape[0] % self.groups == 0,
            f"{w.shape[0]} input channels do not divide into {self.groups} groups",
        )
        shape = (x.shape[0], w.shape[1] * self.groups, *self.out(x.shape[2:]))
        bad = [d for d in shape[2:] if isinstance(d, int) and d < 1]
        self.require(not bad, f"gives an empty output {shape}")
        return accumulator(self, self.bias, shape, channel_axis=1, weight_axis=1)

    def out(self, spatial: Shape) -> tuple[Dim, ...]:
        """stride·(length − 1) + span − pads + output_padding."""
        n, window = len(spatial), self.window
        return tuple(
            (length - 1) * window.stride[i]
            + (window.span[i] - window.pads[i] - window.pads[n + i] + self.output_padding[i])
            for i, length in enumerate(spatial)
        )

    def evaluate(self, *operands: Array) -> Array:
        x, w, *bias = operands
        out = static(self.out(x.shape[2:]))
        if self.x.type.unit is None:
            return _add_bias(self._scatter(x, w, out, np.matmul), bias).astype(x.dtype, copy=False)
        centred_x, centred_w = centred(x, self.x.type), centred(w, self.w.type)
        total = self._scatter(centred_x, centred_w, out, exact.matmul)
        return exact.as_int32(_add_bias(total, bias), where=str(self))

    def _scatter(self, x: Values, w: Values, out: tuple[int, ...], product: Any) -> Values:
        n, c, *spatial = x.shape
        window, g, m = self.window, self.groups, w.shape[1]
        rows = x.reshape(n, g, c // g, -1)
        taps = product(w.reshape(g, c // g, -1).swapaxes(1, 2)[None], rows).reshape(
            n, g, m, *window.kernel, *spatial
        )
        room = [
            max((s - 1) * t + e, window.pads[i] + out[i])
            for i, (s, t, e) in enumerate(zip(spatial, window.stride, window.span, strict=True))
        ]
        total = np.zeros((n, g, m, *room), taps.dtype)
        for offset, view in window.taps(total, tuple(spatial)):
            view += taps[(slice(None), slice(None), slice(None), *offset)]
        inside = tuple(slice(p, p + o) for p, o in zip(window.pads, out, strict=False))
        return total[(..., *inside)].reshape(n, g * m, *out)


@op
class MatMul(Node):
    """a @ b + bias, numpy's broadcasting over leading axes; bias is [columns].

    On integers the sum of (a − za)·(b − zb) in i32; b may have one scale per column.
    """

    a: Node
    b: Node
    bias: Node | None = None

    def infer(self) -> TensorType:
        a, b = self.a.type, self.b.type
        self.require(a.rank >= 2 and b.rank >= 2, "wants operands of rank 2 or more")
        inner = (a.shape[-1], b.shape[-2])
        self.require(
            inner[0] == inner[1] or not all(isinstance(d, int) for d in inner),
            f"contracts {inner[0]} with {inner[1]}",
        )
        shape = (*broadcast(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])
        return accumulator(
            self, self.bias, shape, channel_axis=len(shape) - 1, weight_axis=b.rank - 1
        )

    def evaluate(self, *operands: Array) -> Array:
        a, b, *bias = operands
        if self.a.type.unit is None:
            total = np.matmul(a, b).astype(a.dtype, copy=False)  # numpy widens bf16
            return total + bias[0] if bias else total
        total = exact.matmul(centred(a, self.a.type), centred(b, self.b.type))
        return exact.as_int32(total + bias[0] if bias else total, where=str(self))


def accumulator(
    node: Conv | ConvTranspose | MatMul,
    bias: Node | None,
    shape: Shape,
    *,
    channel_axis: int,
    weight_axis: int,
) -> TensorType:
    """The type of a contraction's result: floats, or i32 in the product of the units."""
    x, w = (o.type for o in node.operands[:2])
    if x.unit is None and w.unit is None:
        node.require(x.elem == w.elem, f"wants one element type, got {x.elem} and {w.elem}")
        result = TensorType(shape, x.elem)
    else:
        result = TensorType(shape, I32, _product(node, x, w, channel_axis, weight_axis))
    if bias is not None:
        _check_bias(node, bias.type, result, channel_axis)
    return result


def _product(
    node: Node, x: TensorType, w: TensorType, channel_axis: int, weight_axis: int
) -> Affine:
    node.require(x.unit is not None and w.unit is not None, "mixes quantized and float operands")
    assert x.unit is not None
    assert w.unit is not None
    node.require(x.unit.per_tensor, f"wants one scale for the input, got {x.unit}")
    node.require(w.unit.group is None, "the weight has groups: expand them first")
    scale = x.unit.scale[0]
    if w.unit.per_tensor:
        return Affine((scale * w.unit.scale[0],))
    node.require(w.unit.axis == weight_axis, f"wants weight scales on axis {weight_axis}")
    repeat = node.groups if isinstance(node, ConvTranspose) else 1
    return Affine(tuple(scale * s for s in w.unit.scale) * repeat, axis=channel_axis)


def _check_bias(node: Node, bias: TensorType, result: TensorType, channel_axis: int) -> None:
    channels = result.shape[channel_axis]
    node.require(
        bias.shape == (channels,) or not isinstance(channels, int),
        f"bias is {bias}, wants [{channels}]",
    )
    want: Scalar = result.elem
    node.require(bias.elem == want, f"bias is {bias.elem}, wants {want}")
    if result.unit is not None:
        axis = None if result.unit.axis is None else 0
        unit = Affine(result.unit.scale, axis=axis)
        node.require(bias.unit == unit, f"bias counts in {bias.unit}, the accumulator in {unit}")


def centred(x: Array, kind: TensorType) -> Values:
    """q − zero_point: x itself when symmetric, else in int32."""
    assert kind.unit is not None
    if kind.unit.symmetric:
        return x
    return x.astype(np.int32) - kind.unit.zero_points(x.ndim).astype(np.int32)


def _add_bias(total: Values, bias: list[Array]) -> Values:
    if not bias:
        return total
    values: Values = bias[0]
    return total + values.reshape(1, -1, *(1,) * (total.ndim - 2))


def _convolve_exactly(
    x: Values, w: Values, window: Window, out: tuple[int, ...], groups: int
) -> Values:
    terms = int(np.prod(w.shape[1:], dtype=np.int64))
    carried = exact.carrier(exact.largest(x) * exact.largest(w) * max(terms, 1))
    kind = np.int64 if carried is None else carried
    return _convolve(x.astype(kind), w.astype(kind), window, out, groups).astype(np.int64)


def _convolve(x: Values, w: Values, window: Window, out: tuple[int, ...], groups: int) -> Values:
    """The sum over taps, of x with its border on."""
    n, c = x.shape[:2]
    o, per_group = w.shape[:2]
    if per_group == 1 and c == groups:
        return _depthwise(x, w, window, out)
    x = x.reshape(n, groups, per_group, *x.shape[2:])
    if np.prod(window.kernel) == 1:
        columns = next(iter(window.taps(x, out)))[1].reshape(n, groups, per_group, -1)
    else:
        columns = np.empty((n, groups, per_group, *window.kernel, *out), x.dtype)
        for offset, view in window.taps(x, out):
            columns[(slice(None), slice(None), slice(None), *offset)] = view
        columns = columns.reshape(n, groups, per_group * int(np.prod(window.kernel)), -1)
    rows = w.reshape(groups, o // groups, -1)
    return np.matmul(rows[None], columns).reshape(n, o, *out)


def _depthwise(x: Values, w: Values, window: Window, out: tuple[int, ...]) -> Values:
    n, c = x.shape[:2]
    each = w.shape[0] // c
    weights = w.reshape(c, each, *window.kernel)
    total = np.zeros((n, c, each, *out), x.dtype)
    ones = (1,) * len(out)
    for offset, view in window.taps(x, out):
        tap = weights[(slice(None), slice(None), *offset)]
        total += view[:, :, None] * tap.reshape(1, c, each, *ones)
    return total.reshape(n, c * each, *out)
