"""Unary functions: torch's numbers."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional

from qcompile.errors import TypeMismatch
from qcompile.ir.node import Node
from qcompile.ir.ops.pointwise import (
    Abs,
    Cast,
    Ceil,
    Celu,
    Clip,
    Cos,
    Elu,
    Erf,
    Exp,
    Floor,
    Gelu,
    GeluTanh,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    Log,
    Mish,
    Neg,
    Not,
    Reciprocal,
    Relu,
    Round,
    Selu,
    Shrink,
    Sigmoid,
    Sign,
    Silu,
    Sin,
    Softplus,
    Softsign,
    Sqrt,
    Tanh,
    ThresholdedRelu,
)  # fmt: skip
from qcompile.ir.ops.source import const
from qcompile.ir.types import BOOL, I8, I32, U8
from qcompile.ir.unit import Affine, per_tensor
from tests.helpers import assert_close, integers, reals, value

x = torch.tensor(value(reals(200))) * 3
X = const(x.numpy())

FUNCTIONS: list[tuple[Node, torch.Tensor]] = [
    (Relu(X), x.relu()),
    (Clip(X, -1.0, 1.5), x.clamp(-1, 1.5)),
    (Clip(X, lo=0.5), x.clamp(min=0.5)),
    (LeakyRelu(X, 0.2), functional.leaky_relu(x, 0.2)),
    (Elu(X, 0.7), functional.elu(x, 0.7)),
    (Celu(X, 0.7), functional.celu(x, 0.7)),
    (Selu(X), functional.selu(x)),
    (ThresholdedRelu(X, 0.4), functional.threshold(x, 0.4, 0.0)),
    (Shrink(X, 0.3, 0.3), functional.softshrink(x, 0.3)),
    (Shrink(X, 0.0, 0.5), functional.hardshrink(x, 0.5)),
    (HardSigmoid(X, 1 / 6, 0.5), functional.hardsigmoid(x)),
    (HardSwish(X), functional.hardswish(x)),
    (Sigmoid(X), x.sigmoid()),
    (Silu(X), functional.silu(x)),
    (Tanh(X), x.tanh()),
    (Gelu(X), functional.gelu(x)),
    (GeluTanh(X), functional.gelu(x, approximate="tanh")),
    (Softplus(X), functional.softplus(x)),
    (Softsign(X), functional.softsign(x)),
    (Mish(X), functional.mish(x)),
    (Erf(X), x.erf()),
    (Exp(X), x.exp()),
    (Log(Abs(X)), x.abs().log()),
    (Sqrt(Abs(X)), x.abs().sqrt()),
    (Reciprocal(X), x.reciprocal()),
    (Neg(X), -x),
    (Sign(X), x.sign()),
    (Floor(X), x.floor()),
    (Ceil(X), x.ceil()),
    (Round(X), x.round()),
    (Sin(X), x.sin()),
    (Cos(X), x.cos()),
]


@pytest.mark.parametrize(("node", "want"), FUNCTIONS)
def test_is_torchs(node: Node, want: torch.Tensor):
    assert_close(want.numpy(), value(node), within=1e-6)


EXTREMES = const(np.array([-1e4, -100.0, 100.0, 1e4], np.float32))
LIMITS: list[tuple[Node, list[float]]] = [
    (Sigmoid(EXTREMES), [0, 0, 1, 1]),
    (Silu(EXTREMES), [0, 0, 100, 1e4]),
    (Softplus(EXTREMES), [0, 0, 100, 1e4]),
    (Mish(EXTREMES), [0, 0, 100, 1e4]),
    (Elu(EXTREMES), [-1, -1, 100, 1e4]),
    (Selu(EXTREMES), [-1.7580993, -1.7580993, 105.0701, 10507.01]),
    (Gelu(EXTREMES), [0, 0, 100, 1e4]),
]


@pytest.mark.parametrize(("node", "want"), LIMITS)
def test_stays_finite_far_out(node: Node, want: list[float]):
    np.testing.assert_allclose(value(node), want, atol=1e-6, rtol=1e-6)


def test_relu_of_integers_stops_at_the_zero_point():
    q = const(np.array([0, 3, 9]), elem=U8, unit=per_tensor(0.1, 4))
    np.testing.assert_array_equal(value(Relu(q)), [4, 4, 9])
    assert Relu(q).type.unit == per_tensor(0.1, 4)


def test_not_turns_truth_about():
    truth: NDArray[Any] = value(integers(9, elem=BOOL))
    np.testing.assert_array_equal(value(Not(integers(9, elem=BOOL))), ~truth)


def test_cast_truncates_toward_zero():
    assert value(Cast(const(np.array([-1.9, 1.9])), I32)).tolist() == [-1, 1]


def test_functions_of_reals_refuse_quantized_values():
    with pytest.raises(TypeMismatch, match="is defined on reals: use lut"):
        Sigmoid(integers(4, elem=I8, unit=per_tensor(0.1)))


def test_relu_refuses_several_zero_points():
    with pytest.raises(TypeMismatch, match="wants one zero point"):
        Relu(integers(2, elem=I8, unit=Affine((1.0, 2.0), (0, 1), axis=0)))
