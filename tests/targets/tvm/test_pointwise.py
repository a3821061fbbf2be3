"""Maps, bit for bit; reals within rounding."""

from pathlib import Path

import numpy as np
import pytest

from qcompile.ir.node import Node
from qcompile.ir.ops import binary as b
from qcompile.ir.ops import pointwise as p
from qcompile.ir.ops.integer import Lut, Requantize, requantize
from qcompile.ir.ops.linear import Conv
from qcompile.ir.ops.norm import BatchNorm
from qcompile.ir.ops.quant import Dequantize, Quantize
from qcompile.ir.ops.shape import Slice
from qcompile.ir.ops.source import Input, const
from qcompile.ir.types import I8, I32, U8, Scalar, TensorType, f32
from qcompile.ir.unit import Affine, per_tensor
from qcompile.numerics.fixedpoint import Multipliers
from qcompile.targets.loops.select import refused
from qcompile.targets.tvm.isa import Isa
from qcompile.targets.tvm.lowering import native
from tests.targets.tvm.checks import (
    BEST,
    every_isa,
    given,
    graph_of,
    narrowed,
    nearly,
    opened,
    same_bits,
    weights,
)  # fmt: skip

UNARY = (
    p.Relu, p.LeakyRelu, p.Elu, p.Celu, p.Selu, p.ThresholdedRelu, p.Shrink, p.HardSigmoid,
    p.HardSwish, p.Sigmoid, p.Silu, p.Tanh, p.Gelu, p.GeluTanh, p.Softplus, p.Softsign, p.Mish,
    p.Erf, p.Exp, p.Abs, p.Neg, p.Sign, p.Floor, p.Ceil, p.Round, p.Sin, p.Cos, p.Reciprocal,
)  # fmt: skip


def wide(*shape: int, name: str = "x", scale: float = 1e-4) -> Input:
    """32-bit sums."""
    return Input(TensorType(shape, I32, per_tensor(scale)), name=name)


SHIFTS = [
    ((1 << 30) + 12345, 31),
    ((1 << 30) + 12345, 40),
    (1, 19),
    (1, 0),
    (3, 1),
    ((1 << 31) - 1, 32),
    ((1 << 31) - 1, 62),
    (77, 0),
    (0, 5),
    (1 << 30, 20),
]


@every_isa
@pytest.mark.parametrize(("m", "shift"), SHIFTS)
def test_rescale_by_one_number(m: int, shift: int, isa: Isa, tmp_path: Path):
    x = wide(3, 50)
    nodes = [
        Requantize(x, elem, per_tensor(0.1, zero), Multipliers((m,), shift), lo, hi)
        for elem, zero, lo, hi in (
            (U8, 7, 0, 255),
            (I8, -3, -128, 100),
            (I32, 0, I32.lo, I32.hi),
            (I32, 5, -(1 << 30), 1 << 30),
        )
    ]
    same_bits(graph_of(*nodes), tmp_path, isa)


@every_isa
@pytest.mark.parametrize("shift", [0, 5, 31, 32, 45, 60])
def test_rescale_by_channel(shift: int, isa: Isa, tmp_path: Path):
    rng = np.random.default_rng(shift)
    numbers = Multipliers(tuple(int(v) for v in rng.integers(0, 1 << 31, 37)), shift)
    scales = tuple(0.001 + 0.001 * i for i in range(37))
    x = Input(TensorType((4, 37), I32, Affine(scales, axis=1)), name="x")
    nodes = [
        Requantize(x, U8, per_tensor(0.1, 128), numbers, 0, 255),
        Requantize(x, I32, per_tensor(0.1), numbers, -(1 << 30), 1 << 30),
    ]
    same_bits(graph_of(*nodes), tmp_path, isa)


def test_rescale_by_a_channel_that_is_not_innermost(tmp_path: Path):
    x = Input(TensorType((5, 40), I32, Affine((0.1, 0.2, 0.3, 0.4, 0.5), axis=0)), name="x")
    same_bits(graph_of(requantize(x, U8, per_tensor(400.0, 128))), tmp_path)


def test_zero_points_by_channel(tmp_path: Path):
    unit = Affine((0.1, 0.2, 0.3), (1, 200, 30), axis=1)
    x = Input(TensorType((2, 3, 4, 5), U8, unit), name="x")
    same_bits(graph_of(requantize(x, U8, per_tensor(0.3, 128)), Dequantize(x)), tmp_path)


@every_isa
@pytest.mark.parametrize("elem", ["u8", "i8", "i16"])
def test_table(elem: str, isa: Isa, tmp_path: Path):
    kind = Scalar(elem)
    rng = np.random.default_rng(0)
    entries = rng.integers(0, 256, 1 << kind.bits).astype(np.uint8)
    table = const(entries, unit=per_tensor(0.1, 3))
    same_bits(graph_of(Lut(given(3, 33, elem=kind, zero=0), table)), tmp_path, isa)


def test_a_table_behind_a_convolution(tmp_path: Path):
    table = const(np.arange(256, dtype=np.int32)[::-1] * 999, unit=per_tensor(0.1))
    x = narrowed(Conv(given(1, 16, 5, 5), weights(24, 16, 3, 3)))
    same_bits(graph_of(Lut(x, table)), tmp_path)


def test_sums_differences_and_products(tmp_path: Path):
    a, c = wide(2, 6, 5), wide(2, 6, 5, name="b")
    x, y = given(2, 6, 5), given(2, 1, 5, elem=I8).replace(name="y")
    nodes = [b.Add(a, c), b.Sub(a, c), b.Mul(x, y), p.Relu(b.Add(a, c)), p.Relu(x)]
    same_bits(graph_of(*nodes), tmp_path)


def test_a_gate_per_channel(tmp_path: Path):
    """The product of squeeze and excite."""
    x = narrowed(Conv(given(1, 8, 6, 6), weights(24, 8, 1, 1)))
    gate = given(1, 24, 1, 1).replace(name="gate")
    same_bits(graph_of(narrowed(b.Mul(x, gate))), tmp_path)


def test_quantize_rounds_half_to_even_and_saturates(tmp_path: Path):
    x = Input(f32(64), name="x")
    values = np.concatenate([np.arange(-30, 30) * 0.25, [np.nan, np.inf, -np.inf, 1e30]]).astype(
        np.float32
    )
    graph = graph_of(Quantize(x, U8, per_tensor(0.5, 10)), Quantize(x, I8, per_tensor(0.5, 0)))
    with opened(graph, tmp_path, BEST) as library:
        found = library.run([values])
    for got, want in zip(found, graph.run(values), strict=True):
        np.testing.assert_array_equal(got, want)


def test_float_functions(tmp_path: Path):
    x = Input(f32(3, 40), name="x")
    nodes: list[Node] = [kind(x) for kind in UNARY]
    nodes += [p.Clip(x, -0.5, 0.25), p.Log(p.Abs(x)), p.Sqrt(p.Abs(x))]
    nearly(graph_of(*nodes), tmp_path)


def test_float_pairs(tmp_path: Path):
    x, y = Input(f32(3, 40), name="x"), Input(f32(1, 40), name="y")
    nodes = [kind(x, y) for kind in (b.Add, b.Sub, b.Mul, b.Div, b.Minimum, b.Maximum)]
    truths = [kind(x, y) for kind in (b.Less, b.LessOrEqual, b.Greater, b.GreaterOrEqual, b.Equal)]
    chosen = b.Where(truths[0], x, y)
    power = b.Pow(p.Abs(x), y)
    logic = [b.And(truths[0], truths[2]), b.Or(truths[0], truths[2]), p.Not(truths[1])]
    slope = b.Prelu(x, const(np.linspace(0, 1, 40, dtype=np.float32)))
    nearly(graph_of(*nodes, *truths, chosen, power, *logic, slope), tmp_path)


@every_isa
def test_a_product_is_rounded_before_it_is_added(isa: Isa, tmp_path: Path):
    x, y, z = (Input(f32(3, 40), name=name) for name in "xyz")
    same_bits(graph_of(b.Add(b.Mul(x, y), z), b.Sub(b.Mul(b.Mul(x, y), z), y)), tmp_path, isa)


def test_casts(tmp_path: Path):
    x = Input(f32(2, 20), name="x")
    whole = p.Cast(b.Mul(x, const(np.array(10, np.float32))), I32)
    nearly(graph_of(whole, p.Cast(whole, Scalar("f32")), p.Cast(x, Scalar("bool"))), tmp_path)


def test_a_batchnorm_that_was_not_folded(tmp_path: Path):
    rng = np.random.default_rng(0)
    gamma, beta, mean, var = (const(rng.uniform(0.5, 2, 7).astype(np.float32)) for _ in range(4))
    x = Input(f32(2, 7, 5, 5), name="x")
    nearly(graph_of(BatchNorm(x, gamma, beta, mean, var)), tmp_path)


@pytest.mark.parametrize("shape", [(1,), (5,), (16,), (17,), (2, 3, 4, 5, 3), (1, 1, 40)])
def test_shapes(shape: tuple[int, ...], tmp_path: Path):
    same_bits(graph_of(requantize(given(*shape), U8, per_tensor(0.03, 100))), tmp_path)


def test_whole_numbers_of_64_bits(tmp_path: Path):
    x = Input(TensorType((3, 20), Scalar("i64")), name="x")
    y = Input(TensorType((3, 20), Scalar("i64")), name="y")
    pairs = [kind(x, y) for kind in (b.Add, b.Sub, b.Mul, b.Div, b.Mod, b.Less, b.Equal)]
    tripled = b.Mul(x, const(np.array(3, np.int64)))
    same_bits(graph_of(*pairs, tripled, p.Cast(x, Scalar("f32"))), tmp_path)


def test_an_empty_value(tmp_path: Path):
    empty = Slice(given(2, 5), (1,), (2,), (2,), (1,))
    same_bits(graph_of(empty, given(2, 5)), tmp_path)


def test_what_has_no_kernel_is_said_all_at_once():
    x = Input(f32(3, 20), name="x")
    half = p.Cast(x, Scalar("f16"))
    graph = graph_of(b.Mod(x, x), p.Cast(half, Scalar("f32")))
    found = refused(native(graph, BEST))
    assert len(found) == 2
    assert all(any(w in text for w in ("remainder of reals", "f16")) for text in found)
