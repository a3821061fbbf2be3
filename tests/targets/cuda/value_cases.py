"""Graphs of maps: every expression, every format."""

import numpy as np

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops import binary as b
from qcompile.ir.ops import pointwise as p
from qcompile.ir.ops.integer import Lut, Requantize, requantize
from qcompile.ir.ops.linear import Conv, MatMul
from qcompile.ir.ops.norm import BatchNorm
from qcompile.ir.ops.pool import AveragePool, MaxPool
from qcompile.ir.ops.quant import Dequantize, Quantize
from qcompile.ir.ops.shape import Concat, Reshape, Slice
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
    x = Input(TensorType((2, 3, 4, 5), U8, Affine((0.1, 0.2, 0.3), (1, 200, 30), axis=1)), name="x")
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
