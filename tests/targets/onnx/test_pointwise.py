"""Element by element: integers to the bit, floats up to rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcompile.ir.ops import binary as b
from qcompile.ir.ops import pointwise as p
from qcompile.ir.ops.source import Input, const
from qcompile.ir.types import F32, I32, I64, Scalar, TensorType
from tests.targets.onnx.checks import ints, near, reals, same_bits

UNARY = [
    p.Relu, p.LeakyRelu, p.Elu, p.Celu, p.Selu, p.ThresholdedRelu, p.Shrink, p.HardSigmoid,
    p.HardSwish, p.Sigmoid, p.Silu, p.Tanh, p.Gelu, p.GeluTanh, p.Softplus, p.Softsign, p.Mish,
    p.Erf, p.Exp, p.Abs, p.Neg, p.Sign, p.Floor, p.Ceil, p.Round, p.Sin, p.Cos, p.Reciprocal,
]  # fmt: skip


@pytest.mark.parametrize("op", UNARY)
def test_float_functions(op: Any):
    near(op(reals(5, 40)))


def test_functions_of_positive_numbers():
    x = p.Abs(reals(5, 40))
    near(p.Log(x), p.Sqrt(x), b.Pow(x, const(np.array(1.7, np.float32))))


def test_clips():
    x = reals(5, 40)
    near(p.Clip(x, -1.0, 0.5), p.Clip(x, lo=0.25), p.Clip(x, hi=1.0), p.Clip(x))


def test_float_pairs():
    x, y = reals(3, 4, 5), reals(4, 1, name="y")
    near(b.Add(x, y), b.Sub(x, y), b.Mul(x, y), b.Div(x, y), b.Minimum(x, y), b.Maximum(x, y))
    near(b.Mod(x, y), b.Prelu(x, y), b.Where(b.Less(x, y), x, y))


def test_logic():
    x, y = reals(3, 4, 5), reals(4, 1, name="y")
    less, more = b.Less(x, y), b.GreaterOrEqual(x, y)
    same_bits(b.And(less, more), b.Or(less, more), b.Xor(less, more), p.Not(less), b.Equal(x, y))


@pytest.mark.parametrize("elem", ["u8", "i8", "i4", "i16", "i32"])
def test_relu_on_integers(elem: str):
    same_bits(p.Relu(ints(elem, 5, 40, zero=0 if elem == "i32" else 3)))


@pytest.mark.parametrize("elem", ["u8", "i8", "i16", "i32"])
def test_sums_and_choices(elem: str):
    x, y = ints(elem, 3, 4, 50), ints(elem, 4, 1, name="y")
    comparisons = (b.Equal, b.Less, b.LessOrEqual, b.Greater, b.GreaterOrEqual)
    same_bits(
        b.Add(x, y), b.Sub(x, y), b.Where(b.Less(x, y), x, y), *(c(x, y) for c in comparisons)
    )


@pytest.mark.parametrize(("left", "right"), [("u8", "i8"), ("i8", "i8"), ("i16", "u8")])
def test_products(left: str, right: str):
    same_bits(b.Mul(ints(left, 3, 4, 50, zero=3), ints(right, 4, 1, zero=7, name="y")))


@pytest.mark.parametrize("kind", [I32, I64])
def test_plain_integers(kind: Scalar):
    x = Input(TensorType((7, 1), kind), name="x")
    y = Input(TensorType((5,), kind), name="y")
    given = {
        "x": np.array([[-9], [-4], [-1], [0], [1], [7], [100]], kind.storage),
        "y": np.array([-3, -1, 0, 2, 5], kind.storage),
    }
    nonzero = b.Maximum(y, const(np.array(1, kind.storage)))
    same_bits(
        b.Add(x, y), b.Mul(x, y), b.Div(x, y), b.Minimum(x, y), b.Mod(x, nonzero),
        p.Abs(x), p.Neg(x), p.Sign(x), p.Clip(x, -3, 5), p.Relu(x), p.Cast(x, F32),
        inputs=given,
    )  # fmt: skip
