"""A network of layers in many sizes: a spread of kernels from which others are interpolated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add
from qcompile.ir.ops.linear import Conv, MatMul
from qcompile.ir.ops.pointwise import Relu
from qcompile.ir.ops.reduce import ReduceMean
from qcompile.ir.ops.source import Input, const
from qcompile.ir.types import F32, TensorType

SIZE = 112
STAGES = (16, 32, 64, 128, 256)  # channels; each stage has half the sides of the one before
SMALL = (8, 16, 32, 64)  # the same from sides of 28 on
WIDER = 4  # channels inside a block over those outside
FEATURES = (64, 1024, 256, 1000)  # lengths of vectors, from one to the next


def spread() -> Graph:
    """Two trunks. At each of their sizes a 3x3 and a 1x1 convolution to more channels, a depthwise
    one, a 1x1 one to fewer, and an addition; then products of vectors with matrices. Weights are
    seeded noise."""
    layers = _Layers()
    x = Input(TensorType((1, 3, SIZE, SIZE), F32), name="x")
    large = _trunk(layers, layers.conv(x, STAGES[0], window=3, stride=2), STAGES)
    small = _trunk(layers, layers.conv(x, SMALL[0], window=3, stride=4), SMALL)
    return Graph("spread", (x,), (("large", large), ("small", small)))


def least() -> Graph:
    """One convolution of next to nothing: a call of it costs little but the call."""
    layers = _Layers()
    x = Input(TensorType((1, 8, 4, 4), F32), name="x")
    return Graph("least", (x,), (("y", layers.conv(x, 8, window=1)),))


def _trunk(layers: _Layers, value: Node, stages: Sequence[int]) -> Node:
    """Blocks of the stages and the products behind them."""
    for number, channels in enumerate(stages):
        value = layers.conv(value, channels, window=3, stride=1 + (number > 0))
        wide = layers.conv(value, WIDER * channels, window=1)
        deep = layers.depthwise(wide)
        narrow = layers.conv(deep, channels, window=1, relu=False)
        value = layers.named(Relu(Add(value, narrow)))
    vector = layers.named(ReduceMean(value, axes=(2, 3), keepdims=False))
    for length in FEATURES:
        vector = layers.product(vector, length)
    return vector


class _Layers:
    """Makes named layers with weights of unit gain."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)
        self._count = 0

    def named(self, node: Node) -> Node:
        """The node with a name of its own."""
        self._count += 1
        return node.replace(name=f"{node.op}{self._count}")

    def conv(
        self, x: Node, channels: int, *, window: int, stride: int = 1, relu: bool = True
    ) -> Node:
        """A convolution that keeps the sides but for its stride, and a relu behind it."""
        made = self._conv(x, (channels, _channels(x), window, window), stride=stride, groups=1)
        return self.named(Relu(made)) if relu else made

    def depthwise(self, x: Node) -> Node:
        """3x3, each channel by itself, and a relu."""
        return self.named(
            Relu(self._conv(x, (_channels(x), 1, 3, 3), stride=1, groups=_channels(x)))
        )

    def product(self, x: Node, length: int) -> Node:
        """A vector times a matrix."""
        weight = const(self._noise((_channels(x), length), _channels(x)), name=f"w{self._count}")
        return self.named(MatMul(x, weight))

    def _conv(self, x: Node, shape: tuple[int, int, int, int], *, stride: int, groups: int) -> Node:
        side = shape[2] // 2
        terms = shape[1] * shape[2] * shape[3]
        weight = const(self._noise(shape, terms), name=f"w{self._count}")
        bias = const(np.zeros(shape[0], np.float32), name=f"b{self._count}")
        pads, strides = (side,) * 4, (stride, stride)
        return self.named(Conv(x, weight, bias, strides, pads, groups=groups))

    def _noise(
        self, shape: tuple[int, ...], terms: int
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        gain = (2 / terms) ** 0.5
        return (gain * self._rng.standard_normal(shape)).astype(np.float32)


def _channels(x: Node) -> int:
    found = x.type.shape[1]
    assert isinstance(found, int)
    return found
