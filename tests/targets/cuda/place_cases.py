"""Graphs that move elements: every way to read and write."""

import numpy as np

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.integer import requantize
from qcompile.ir.ops.linear import Conv, MatMul
from qcompile.ir.ops.resize import ResizeLinear, ResizeNearest
from qcompile.ir.ops.shape import Concat, Expand, Gather, Pad, Reshape, Slice, Transpose
from qcompile.ir.ops.source import Input, const
from qcompile.ir.types import I32, U8, Scalar, TensorType, f32
from qcompile.ir.unit import per_tensor
from tests.targets.cuda.value_cases import channels_last, reals
from tests.targets.tvm.checks import given, graph_of, narrowed, weights


def reshapes() -> Graph:
    pairs = [
        ((2, 12), (24,)), ((2, 3, 4), (6, 4)), ((6, 4), (4, 6)), ((1, 20, 1, 1), (1, 20)),
        ((2, 6, 5, 4), (2, 120)), ((2, 30), (2, 5, 6)), ((8, 9), (1, 8, 1, 9)),
    ]  # fmt: skip
    nodes = [Reshape(given(*old).replace(name=f"x{i}"), new) for i, (old, new) in enumerate(pairs)]
    last = Reshape(channels_last(1, 20, 3, 5), (1, 300))
    return graph_of(*nodes, last, *transposes())


def transposes() -> list[Node]:
    x = given(2, 3, 4, 17).replace(name="t")
    turned = MatMul(Transpose(given(20, 7).replace(name="m"), (1, 0)), weights(20, 18, axis=1))
    return [
        *(Transpose(x, o) for o in ((1, 0, 2, 3), (0, 2, 3, 1), (3, 2, 1, 0))),
        narrowed(turned),
    ]


def concatenations() -> Graph:
    parts = (channels_last(2, 10, 4, 5), channels_last(2, 10, 4, 5))
    uneven = tuple(
        requantize(channels_last(1, c, 3, 3), U8, per_tensor(0.5, 100)) for c in (3, 17, 1, 11)
    )
    joined = Concat(uneven, 1)
    behind = narrowed(Conv(joined, weights(8, 32, 3, 3), pads=(1, 1, 1, 1)))
    return graph_of(*(Concat(parts, axis) for axis in range(4)), joined, behind)


def slices() -> Graph:
    x = channels_last(2, 20, 8, 6)
    chosen = [
        ((1,), (3,), (11,), (1,)), ((2,), (1,), (8,), (3,)), ((3,), (5,), (-1,), (-2,)),
        ((1, 3), (0, 2), (5, 6), (2, 1)),
    ]  # fmt: skip
    outside = given(2, 5, 9).replace(name="o")
    whole = Slice(outside, (2,), (4,), (9,), (1,))
    return graph_of(*(Slice(x, *c) for c in chosen), whole, Expand(given(3, 1, 20), (2, 3, 4, 20)))


def pads() -> Graph:
    x = channels_last(1, 10, 5, 6)
    ways = [Pad(x, (0, 0, 1, 2, 0, 0, 3, 0), m) for m in ("constant", "reflect", "edge", "wrap")]
    return graph_of(*ways, Pad(x, (0, 3, -1, 2, 0, 9, 0, -2)))


def gathers() -> Graph:
    x = given(3, 4, 6)
    chosen = [(0, [2, 0, -1]), (1, [[1, 3], [0, 0]]), (2, [4, 4, 1, -2]), (2, 3)]
    nodes = [Gather(x, const(np.array(where, np.int64)), axis) for axis, where in chosen]
    near = ResizeNearest(channels_last(1, 20, 4, 3), ((0, 0, 1, 2, 3, 3), (2, 1, 0, 0)))
    low, frac = ((-1, 0, 1, 2), (0, 1, 2)), ((0.75, 0.25, 0.5, 0.9), (0.1, 0.0, 1.0))
    between = narrowed(ResizeLinear(channels_last(1, 20, 4, 3), low, frac))
    return graph_of(*nodes, near, between)


def gather_at_values() -> Graph:
    places = Input(TensorType((2, 5), Scalar("i64")), name="places")
    return graph_of(Gather(reals(9, 20), places, 0))


def resize_of_reals() -> Graph:
    low, frac = ((-1, 0, 1, 2), (0, 1, 2)), ((0.75, 0.25, 0.5, 0.9), (0.1, 0.0, 1.0))
    return graph_of(ResizeLinear(Input(f32(1, 3, 4, 3), name="x"), low, frac))


def passed_through() -> Graph:
    x = given(2, 3, 5)
    number = const(np.arange(6, dtype=np.int32).reshape(2, 3))
    y = Input(TensorType((2, 3, 5), I32, per_tensor(0.1)), name="y")
    joined = Concat((y, Transpose(Transpose(y, (1, 0, 2)), (1, 0, 2))), 2)
    return graph_of(x, Reshape(x, (30,)), number, joined)
