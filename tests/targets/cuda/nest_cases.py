"""Graphs whose nests meet every expression, every way to read and write, every kind of loop."""

from collections.abc import Mapping

import numpy as np

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops import binary as b
from qcompile.ir.ops import pointwise as p
from qcompile.ir.ops.integer import Lut, Requantize, requantize, softmax_integer
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.norm import BatchNorm, InstanceNorm, LayerNorm, LocalResponseNorm
from qcompile.ir.ops.pool import AveragePool, MaxPool
from qcompile.ir.ops.quant import Dequantize, Quantize
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
from qcompile.ir.ops.resize import ResizeLinear, ResizeNearest
from qcompile.ir.ops.shape import Concat, Expand, Gather, Pad, Reshape, Slice, Transpose
from qcompile.ir.ops.source import Const, Input, const
from qcompile.ir.types import I8, I32, U8, Scalar, TensorType, f32
from qcompile.ir.unit import Affine, per_tensor
from qcompile.numerics.fixedpoint import Multipliers
from tests.targets.tvm.checks import biased, given, graph_of, narrowed, weights

I4, U4, I16 = Scalar("i4"), Scalar("u4"), Scalar("i16")
UNARY = (
    p.Relu, p.LeakyRelu, p.Elu, p.Celu, p.Selu, p.ThresholdedRelu, p.Shrink, p.HardSigmoid,
    p.HardSwish, p.Sigmoid, p.Silu, p.Tanh, p.Gelu, p.GeluTanh, p.Softplus, p.Softsign, p.Mish,
    p.Erf, p.Exp, p.Abs, p.Neg, p.Sign, p.Floor, p.Ceil, p.Round, p.Sin, p.Cos, p.Reciprocal,
)  # fmt: skip


def wide(*shape: int, name: str = "x", scale: float = 1e-4) -> Input:
    """32-bit sums."""
    return Input(TensorType(shape, I32, per_tensor(scale)), name=name)


def reals(*shape: int, seed: int = 0) -> Const:
    """A float constant."""
    return const(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def channels_last(*shape: int) -> Node:
    """A value that a convolution wrote."""
    n, c, *spatial = shape
    return narrowed(Conv(given(n, 7, *spatial), weights(c, 7, 1, 1)))


def rescales() -> Graph:
    """One multiplier: words, 64 bits, beyond 32 bits, no shift, the ends of the range."""
    x = wide(3, 50)
    pairs = [
        ((1 << 30) + 12345, 31), ((1 << 30) + 12345, 40), (1, 19), (1, 0), (3, 1),
        ((1 << 31) - 1, 32), ((1 << 31) - 1, 62), (77, 0), (0, 5), (1 << 30, 20),
    ]  # fmt: skip
    kinds = [
        (U8, 7, 0, 255), (I8, -3, -128, 100), (I32, 0, I32.lo, I32.hi),
        (I32, 5, -(1 << 30), 1 << 30), (U4, 3, 0, 15), (I4, -1, -8, 6),
    ]  # fmt: skip
    return graph_of(
        *(
            Requantize(x, elem, per_tensor(0.1, zero), Multipliers((m,), shift), lo, hi)
            for m, shift in pairs
            for elem, zero, lo, hi in kinds
        )
    )


def rescales_by_channel() -> Graph:
    nodes: list[Node] = []
    scales = tuple(0.001 + 0.001 * i for i in range(37))
    x = Input(TensorType((4, 37), I32, Affine(scales, axis=1)), name="x")
    for shift in (0, 5, 31, 32, 45, 60):
        rng = np.random.default_rng(shift)
        numbers = Multipliers(tuple(int(v) for v in rng.integers(0, 1 << 31, 37)), shift)
        nodes.append(Requantize(x, U8, per_tensor(0.1, 128), numbers, 0, 255))
        nodes.append(Requantize(x, I32, per_tensor(0.1), numbers, -(1 << 30), 1 << 30))
    outer = Input(TensorType((5, 40), I32, Affine((0.1, 0.2, 0.3, 0.4, 0.5), axis=0)), name="y")
    return graph_of(*nodes, requantize(outer, U8, per_tensor(400.0, 128)))


def zero_points_by_channel() -> Graph:
    x = Input(
        TensorType((2, 3, 4, 5), U8, Affine((0.1, 0.2, 0.3), (1, 200, 30), axis=1)), name="x"
    )
    return graph_of(requantize(x, U8, per_tensor(0.3, 128)), Dequantize(x))


def tables() -> Graph:
    rng = np.random.default_rng(0)
    nodes: list[Node] = []
    for kind in (U8, I8, I16):
        entries = const(rng.integers(0, 256, 1 << kind.bits).astype(np.uint8), unit=per_tensor(0.1))
        nodes.append(Lut(given(3, 33, elem=kind, zero=0).replace(name=kind.name), entries))
    long = const(np.arange(256, dtype=np.int32)[::-1] * 999, unit=per_tensor(0.1))
    behind = narrowed(Conv(given(1, 16, 5, 5), weights(22, 16, 3, 3)))
    return graph_of(*nodes, Lut(behind, long))


def sums() -> Graph:
    a, c = wide(2, 6, 5), wide(2, 6, 5, name="b")
    x, y = given(2, 6, 5).replace(name="u"), given(2, 1, 5, elem=I8).replace(name="v")
    gate = given(1, 24, 1, 1).replace(name="gate")
    gated = narrowed(Conv(given(1, 8, 6, 6).replace(name="w"), weights(24, 8, 1, 1)))
    return graph_of(
        b.Add(a, c), b.Sub(a, c), b.Mul(x, y), p.Relu(b.Add(a, c)), p.Relu(x),
        narrowed(b.Mul(gated, gate)),
    )  # fmt: skip


def residual(elem: Scalar, *, channels: int = 32) -> Graph:
    """A convolution and what it was made from, added in the epilogue."""
    x = given(2, channels, 6, 6, elem=elem, zero=0)
    x = requantize(x, elem, per_tensor(0.03, 1), lo=elem.lo, hi=elem.hi)
    fine, limit = per_tensor(0.03 / (1 << 10)), 1 << 30
    one = Conv(x, weights(channels, channels, 3, 3, elem=I4), pads=(1,) * 4)
    left = requantize(one.replace(bias=biased(one, 1)), I32, fine, lo=-limit, hi=limit)
    right = requantize(x, I32, fine, lo=-limit, hi=limit)
    total = requantize(b.Add(left, right), elem, per_tensor(0.5, 2), lo=elem.lo, hi=elem.hi)
    return graph_of(total, narrowed(Conv(total, weights(24, channels, 1, 1)), elem=elem, zero=1))


def nibble_chain() -> Graph:
    """Packed values: pooled, widened, moved, added, padded, with odd numbers of channels."""
    x = requantize(given(1, 37, 9, 7), U4, per_tensor(0.4, 2), lo=0, hi=15)
    pooled = MaxPool(x, (3, 3), (2, 2), (1, 1, 1, 1), (1, 1))
    mean = narrowed(AveragePool(x, (3, 3), (2, 2), (1, 1, 1, 1), (1, 1)), elem=I4, zero=-1)
    deep = narrowed(Conv(x, weights(37, 1, 3, 3), groups=37, pads=(1,) * 4), elem=U4, zero=5)
    joined = Concat((x, requantize(deep, U4, per_tensor(0.4, 2), lo=0, hi=15)), 1)
    wider = requantize(joined, I8, per_tensor(0.05), lo=-128, hi=127)
    turned = narrowed(MatMul(Reshape(pooled, (1, 37 * 20)), weights(740, 9, axis=1)), elem=I4)
    return graph_of(pooled, mean, wider, turned, Slice(x, (1, 3), (2, 0), (30, 7), (3, 2)))


def quantized_reals() -> Graph:
    x = Input(f32(1, 3, 20, 24), name="x")
    nodes = [Quantize(x, U8, per_tensor(0.03, 120)), Quantize(x, I8, per_tensor(0.03125, 0))]
    pooled = MaxPool(nodes[0], (2, 2), (2, 2), (0, 0, 0, 0), (1, 1))
    few = Quantize(Input(f32(2, 3, 5, 5), name="y"), U8, per_tensor(0.02, 128))
    return graph_of(Dequantize(pooled), nodes[1], narrowed(Conv(few, weights(8, 3, 3, 3))))


def long_integers() -> Graph:
    x = Input(TensorType((3, 20), Scalar("i64")), name="x")
    y = Input(TensorType((3, 20), Scalar("i64")), name="y")
    pairs = [kind(x, y) for kind in (b.Add, b.Sub, b.Mul, b.Div, b.Mod, b.Less, b.Equal)]
    tripled = b.Mul(x, const(np.array(3, np.int64)))
    return graph_of(*pairs, tripled, p.Cast(x, Scalar("f32")))


def float_functions() -> Graph:
    x = Input(f32(3, 40), name="x")
    nodes: list[Node] = [kind(x) for kind in UNARY]
    nodes += [p.Clip(x, -0.5, 0.25), p.Log(p.Abs(x)), p.Sqrt(p.Abs(x))]
    return graph_of(*nodes)


def float_pairs() -> Graph:
    x, y = Input(f32(3, 40), name="x"), Input(f32(1, 40), name="y")
    nodes = [kind(x, y) for kind in (b.Add, b.Sub, b.Mul, b.Div, b.Minimum, b.Maximum)]
    truths = [kind(x, y) for kind in (b.Less, b.LessOrEqual, b.Greater, b.GreaterOrEqual, b.Equal)]
    logic = [b.And(truths[0], truths[2]), b.Or(truths[0], truths[2]), p.Not(truths[1])]
    slope = b.Prelu(x, const(np.linspace(0, 1, 40, dtype=np.float32)))
    chosen, power = b.Where(truths[0], x, y), b.Pow(p.Abs(x), y)
    return graph_of(*nodes, *truths, chosen, power, *logic, slope)


def casts() -> Graph:
    x = Input(f32(2, 20), name="x")
    whole = p.Cast(b.Mul(x, const(np.array(10, np.float32))), I32)
    rng = np.random.default_rng(0)
    gamma, beta, mean, var = (const(rng.uniform(0.5, 2, 7).astype(np.float32)) for _ in range(4))
    norm = BatchNorm(Input(f32(2, 7, 5, 5), name="y"), gamma, beta, mean, var)
    return graph_of(whole, p.Cast(whole, Scalar("f32")), p.Cast(x, Scalar("bool")), norm)


def shapes() -> Graph:
    sizes = [(1,), (5,), (16,), (17,), (2, 3, 4, 5, 3), (1, 1, 40)]
    return graph_of(
        *(
            requantize(given(*s).replace(name=f"x{i}"), U8, per_tensor(0.03, 100))
            for i, s in enumerate(sizes)
        )
    )


def reshapes() -> Graph:
    pairs = [
        ((2, 12), (24,)), ((2, 3, 4), (6, 4)), ((6, 4), (4, 6)), ((1, 20, 1, 1), (1, 20)),
        ((2, 6, 5, 4), (2, 120)), ((2, 30), (2, 5, 6)), ((8, 9), (1, 8, 1, 9)),
    ]  # fmt: skip
    nodes = [
        Reshape(given(*old).replace(name=f"x{i}"), new) for i, (old, new) in enumerate(pairs)
    ]
    last = Reshape(channels_last(1, 20, 3, 5), (1, 300))
    return graph_of(*nodes, last, *transposes())


def transposes() -> list[Node]:
    x = given(2, 3, 4, 17).replace(name="t")
    turned = MatMul(Transpose(given(20, 7).replace(name="m"), (1, 0)), weights(20, 18, axis=1))
    return [*(Transpose(x, o) for o in ((1, 0, 2, 3), (0, 2, 3, 1), (3, 2, 1, 0))), narrowed(turned)]


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
        InstanceNorm(y, reals(6), reals(6, seed=1)),
        LocalResponseNorm(y, 5, alpha=0.1, beta=0.75, bias=2.0),
    ]
    return graph_of(*soft, *norms)


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
    windows = [
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
    windows = [
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
    deep = Conv(given(1, 24, 9, 9).replace(name="d"), weights(24, 1, 3, 3), groups=24, pads=(1,) * 4)
    deeper = Conv(given(1, 10, 7, 7).replace(name="m"), weights(30, 1, 3, 3), groups=10)
    words = Conv(given(1, 6, 6, 6, elem=I16, zero=0).replace(name="w"), weights(9, 6, 3, 3))
    turned = ConvTranspose(x, weights(6, 12, 3, 3, axis=1), stride=(2, 2), pads=(1,) * 4)
    rare = ConvTranspose(x, weights(6, 5, 2, 2, axis=1), stride=(3, 3))
    plain = Conv(x, weights(19, 6, 3, 3), pads=(0, 1, 2, 3), stride=(2, 1), dilation=(1, 2))
    flat = Conv(given(2, 12, 30).replace(name="f"), weights(20, 12, 5), pads=(2, 2), stride=(2,), dilation=(1,))
    every = (grouped, deep, deeper, words, turned, rare, flat)
    return graph_of(*(narrowed(node) for node in every), narrowed(plain.replace(bias=biased(plain, 1))), plain)


def products() -> Graph:
    pairs = [
        ((7, 20), (20, 9)), ((2, 3, 8, 16), (2, 3, 16, 8)), ((4, 5, 6), (6, 7)), ((1, 33), (33, 40)),
    ]  # fmt: skip
    nodes: list[Node] = []
    for i, (left, right) in enumerate(pairs):
        a = given(*left).replace(name=f"a{i}")
        nodes.append(narrowed(MatMul(a, given(*right, zero=100).replace(name=f"b{i}"))))
        fixed = MatMul(a, weights(*right, axis=len(right) - 1))
        nodes.append(narrowed(fixed.replace(bias=biased(fixed, len(left) - 1))))
    return graph_of(*nodes)


EXACT: Mapping[str, Graph] = {
    "rescales": rescales(),
    "rescales_by_channel": rescales_by_channel(),
    "zero_points": zero_points_by_channel(),
    "tables": tables(),
    "sums": sums(),
    "residual_u8": residual(U8),
    "residual_i8_ragged": residual(I8, channels=19),
    "residual_u4": residual(U4),
    "residual_i4_ragged": residual(I4, channels=21),
    "nibbles": nibble_chain(),
    "quantized_reals": quantized_reals(),
    "long_integers": long_integers(),
    "shapes": shapes(),
    "reshapes": reshapes(),
    "concatenations": concatenations(),
    "slices": slices(),
    "pads": pads(),
    "gathers": gathers(),
    "passed_through": passed_through(),
    "softmaxes": softmaxes(),
    "max_pools": max_pools(),
    "average_pools": average_pools(),
    "reductions": reductions(),
    "arguments": arguments(),
    "convolutions": convolutions(),
    "products": products(),
}  # fmt: skip

NEAR: Mapping[str, Graph] = {
    "float_functions": float_functions(),
    "float_pairs": float_pairs(),
    "casts": casts(),
    "resize_of_reals": resize_of_reals(),
    "float_rows": float_rows(),
    "float_reductions": float_reductions(),
    "float_contractions": float_contractions(),
}
