"""Graphs that reduce: every kind of loop."""

from typing import Any

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.integer import softmax_integer
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.norm import InstanceNorm, LayerNorm, LocalResponseNorm, RmsNorm
from qcompile.ir.ops.pool import AveragePool, MaxPool
from qcompile.ir.ops.reduce import (
    ArgMax,
    ArgMin,
    LogSoftmax,
    ReduceL2,
    ReduceLogSumExp,
    ReduceMax,
    ReduceMean,
    ReduceMin,
    ReduceProd,
    ReduceSum,
    Softmax,
)  # fmt: skip
from qcompile.ir.ops.source import Input
from qcompile.ir.types import I8, I32, U8, TensorType, f32
from qcompile.ir.unit import per_tensor
from tests.targets.cuda.value_cases import I16, channels_last, reals
from tests.targets.tvm.checks import biased, given, graph_of, narrowed, weights


def softmaxes() -> Graph:
    nodes: list[Node] = []
    for i, (shape, axis) in enumerate([((3, 40), 1), ((2, 5, 17), 1), ((1, 10, 1, 1), 1)]):
        x = given(*shape, scale=0.05).replace(name=f"x{i}")
        whole = Input(TensorType(shape, I32, per_tensor(1e-5)), name=f"wide{i}")
        nodes += [softmax_integer(x, axis), softmax_integer(whole, axis)]
    return graph_of(*nodes, narrowed(nodes[0]))


def float_rows() -> Graph:
    x, y = Input(f32(3, 20, 18), name="x"), Input(f32(2, 6, 5, 18), name="y")
    soft = [kind(x, axis) for axis in range(3) for kind in (Softmax, LogSoftmax)]
    norms = [
        LayerNorm(y, reals(18), reals(18, seed=1), axis=3),
        LayerNorm(y, reals(5, 18), axis=2),
        LayerNorm(y, None, reals(18), axis=3),
        RmsNorm(y, reals(5, 18), 2),
        RmsNorm(y, None, 3, eps=1.0),
        InstanceNorm(y, reals(6), reals(6, seed=1)),
        LocalResponseNorm(y, 5, alpha=0.1, beta=0.75, bias=2.0),
    ]
    return graph_of(*soft, *norms)


def long_rows() -> Graph:
    """Numbers that a warp makes together."""
    x = given(2, 5, 200)
    soft = softmax_integer(given(3, 100, scale=0.05).replace(name="s"), 1)
    total = narrowed(ReduceSum(x, (1, 2), keepdims=False))
    top, place = ReduceMax(x, (2,), keepdims=True), ArgMax(x, 2, keepdims=True, last=False)
    return graph_of(total, top, soft, place, ArgMin(x, 2, keepdims=True, last=True))


def long_real_rows() -> Graph:
    x, y = Input(f32(3, 130), name="x"), Input(f32(3, 99), name="y")
    kinds = (ReduceSum, ReduceProd, ReduceMin)
    return graph_of(*(kind(x, (1,), keepdims=False) for kind in kinds), LogSoftmax(y, 1))


def float_reductions() -> Graph:
    x = Input(f32(3, 9, 20), name="x")
    kinds = (ReduceSum, ReduceMean, ReduceMax, ReduceProd, ReduceL2, ReduceLogSumExp)
    ways = [((1,), True), ((2,), False), ((0, 2), True)]
    return graph_of(*(kind(x, axes, keep) for kind in kinds for axes, keep in ways))


def float_contractions() -> Graph:
    x = Input(f32(1, 6, 9, 9), name="x")
    one, two = Input(f32(2, 5, 30), name="a"), Input(f32(2, 30, 7), name="b")
    return graph_of(
        Conv(x, reals(20, 6, 3, 3), reals(20), pads=(1, 1, 1, 1), stride=(2, 2)),
        Conv(x, reals(12, 2, 3, 3), groups=3),
        Conv(x, reals(6, 1, 3, 3), groups=6, pads=(1, 1, 1, 1)),
        ConvTranspose(x, reals(6, 5, 3, 3), stride=(2, 2)),
        MatMul(one, reals(30, 21), reals(21, seed=3)),
        MatMul(one, two),
        MaxPool(x, (3, 3), (2, 2), (1, 1, 1, 1), (1, 1)),
        AveragePool(x, (3, 3), (2, 2), (1, 1, 1, 1), (1, 1)),
    )


def max_pools() -> Graph:
    windows: list[Any] = [
        ((1, 16, 8, 8), (2, 2), (2, 2), (0, 0, 0, 0), (1, 1)),
        ((1, 20, 9, 7), (3, 3), (2, 2), (1, 1, 1, 1), (1, 1)),
        ((1, 8, 9, 9), (2, 2), (1, 1), (1, 1, 1, 1), (2, 2)),
        ((2, 3, 6, 6), (3, 2), (1, 2), (1, 0, 0, 1), (1, 1)),
        ((1, 10, 20), (3,), (2,), (1, 1), (1,)),
    ]
    nodes: list[Node] = []
    for i, (shape, *window) in enumerate(windows):
        nodes.append(MaxPool(given(*shape).replace(name=f"x{i}"), *window))
    signed = MaxPool(given(1, 20, 9, 7, elem=I8).replace(name="s"), *windows[1][1:])
    over = MaxPool(
        given(1, 16, 7, 7).replace(name="o"), (3, 3), (2, 2), (0,) * 4, (1, 1), ceil=True
    )
    return graph_of(*nodes, signed, over)


def average_pools() -> Graph:
    windows: list[Any] = [
        ((1, 20, 9, 7), (3, 3), (2, 2), (1, 1, 1, 1), (1, 1)),
        ((2, 3, 6, 6), (3, 2), (1, 2), (1, 0, 0, 1), (1, 1)),
        ((1, 10, 20), (3,), (2,), (1, 1), (1,)),
    ]
    nodes: list[Node] = []
    for i, (shape, *window) in enumerate(windows):
        x = given(*shape).replace(name=f"x{i}")
        nodes += [narrowed(AveragePool(x, *window, count_border=c)) for c in (False, True)]
    x = channels_last(1, 8, 6, 6)
    pooled = MaxPool(x, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1))
    return graph_of(*nodes, pooled, narrowed(Conv(x, weights(8, 8, 3, 3), pads=(1, 1, 1, 1))))


def reductions() -> Graph:
    x = given(2, 20, 5, 6)
    nodes: list[Node] = []
    for kind in (ReduceSum, ReduceMean, ReduceMax, ReduceMin):
        for axes, keep in [((2, 3), True), ((1,), False), ((3,), True), ((0, 1, 2, 3), False)]:
            node = kind(x, axes, keep)
            nodes.append(node if node.type.elem == U8 else narrowed(node))
    mean = narrowed(ReduceMean(channels_last(1, 40, 6, 6), (2, 3)))
    return graph_of(*nodes, mean)


def arguments() -> Graph:
    x = given(2, 30, 17)
    ways = [(axis, keep, last) for axis, keep in [(1, False), (2, True)] for last in (False, True)]
    return graph_of(*(kind(x, *way) for kind in (ArgMax, ArgMin) for way in ways))


def convolutions() -> Graph:
    x = given(1, 6, 9, 8)
    grouped = Conv(given(1, 8, 6, 6).replace(name="g"), weights(16, 2, 3, 3), groups=4)
    deep = Conv(
        given(1, 24, 9, 9).replace(name="d"), weights(24, 1, 3, 3), groups=24, pads=(1,) * 4
    )
    deeper = Conv(given(1, 10, 7, 7).replace(name="m"), weights(30, 1, 3, 3), groups=10)
    words = Conv(given(1, 6, 6, 6, elem=I16, zero=0).replace(name="w"), weights(9, 6, 3, 3))
    turned = ConvTranspose(x, weights(6, 12, 3, 3, axis=1), stride=(2, 2), pads=(1,) * 4)
    rare = ConvTranspose(x, weights(6, 5, 2, 2, axis=1), stride=(3, 3))
    plain = Conv(x, weights(19, 6, 3, 3), pads=(0, 1, 2, 3), stride=(2, 1), dilation=(1, 2))
    flat = Conv(
        given(2, 12, 30).replace(name="f"),
        weights(20, 12, 5),
        pads=(2, 2),
        stride=(2,),
        dilation=(1,),
    )
    every = (grouped, deep, deeper, words, turned, rare, flat)
    return graph_of(
        *(narrowed(node) for node in every), narrowed(plain.replace(bias=biased(plain, 1))), plain
    )


def products() -> Graph:
    pairs = [
        ((7, 20), (20, 9)), ((2, 3, 8, 16), (2, 3, 16, 8)), ((4, 5, 6), (6, 7)),
        ((1, 33), (33, 40)),
    ]  # fmt: skip
    nodes: list[Node] = []
    for i, (left, right) in enumerate(pairs):
        a = given(*left).replace(name=f"a{i}")
        nodes.append(narrowed(MatMul(a, given(*right, zero=100).replace(name=f"b{i}"))))
        fixed = MatMul(a, weights(*right, axis=len(right) - 1))
        nodes.append(narrowed(fixed.replace(bias=biased(fixed, len(left) - 1))))
    return graph_of(*nodes)
