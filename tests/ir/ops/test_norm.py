"""Normalizations give torch's numbers."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from qcompile.errors import TypeMismatch
from qcompile.ir.ops.norm import BatchNorm, InstanceNorm, LayerNorm, LocalResponseNorm, RmsNorm
from qcompile.ir.ops.pointwise import Abs
from qcompile.ir.ops.source import Const, const
from qcompile.ir.parse import parse
from qcompile.ir.text import dump
from tests.helpers import assert_close, reals, value

X = reals(2, 4, 5, 3)
GAMMA, BETA, MEAN, VAR = reals(4), reals(4, seed=1), reals(4, seed=2), Abs(reals(4, seed=3))
RMS_NORMS = [
    """def g(x: f32[2, 3], s: f32[3]):
    y: f32[2, 3] = rms_norm(x, s, axis=1)
    return y
""",
    """def g(x: f32[n, 3]):
    y: f32[n, 3] = rms_norm(x, axis=1, eps=0.001)
    return y
""",
]
x, gamma, beta, mean, var = (torch.tensor(value(n)) for n in (X, GAMMA, BETA, MEAN, VAR))


def test_batch_norm():
    want = functional.batch_norm(x, mean, var, gamma, beta, eps=1e-3)
    node = BatchNorm(X, GAMMA, BETA, MEAN, VAR, eps=1e-3)
    assert_close(want.numpy(), value(node), within=1e-6)


def test_instance_norm():
    want = functional.instance_norm(x, weight=gamma, bias=beta)
    assert_close(want.numpy(), value(InstanceNorm(X, GAMMA, BETA)), within=1e-6)


def test_layer_norm_over_two_axes():
    scale, shift = reals(5, 3, seed=4), reals(5, 3, seed=5)
    weight, bias = torch.tensor(value(scale)), torch.tensor(value(shift))
    want = functional.layer_norm(x, (5, 3), weight, bias)
    assert_close(want.numpy(), value(LayerNorm(X, scale, shift, axis=2)), within=1e-6)


def test_layer_norm_without_shift():
    scale = reals(3, seed=4)
    want = functional.layer_norm(x, (3,), torch.tensor(value(scale)))
    assert_close(want.numpy(), value(LayerNorm(X, scale, axis=3)), within=1e-6)


def test_layer_norm_without_parameters():
    want = functional.layer_norm(x, (5, 3), eps=0.1)
    assert_close(want.numpy(), value(LayerNorm(X, axis=2, eps=0.1)), within=1e-6)


def test_layer_norm_with_a_shift_alone():
    shift = reals(3, seed=5)
    want = functional.layer_norm(x, (3,)) + torch.tensor(value(shift))
    assert_close(want.numpy(), value(LayerNorm(X, beta=shift, axis=3)), within=1e-6)


@pytest.mark.parametrize(("axis", "eps"), [(1, 1e-6), (2, 1e-5), (3, 0.5)])
def test_rms_norm(axis: int, eps: float):
    scale = reals(*(4, 5, 3)[axis - 1 :], seed=4)
    want = functional.rms_norm(x, x.shape[axis:], torch.tensor(value(scale)), eps)
    assert_close(want.numpy(), value(RmsNorm(X, scale, axis, eps)), within=1e-6)


def test_rms_norm_without_scale():
    want = functional.rms_norm(x, (3,), eps=1e-5)
    assert_close(want.numpy(), value(RmsNorm(X, axis=3)), within=1e-6)


def test_rms_norm_of_halves_stays_in_halves():
    half = X.data.array().astype(np.float16)
    want = functional.rms_norm(x.half(), (3,), eps=1e-5)
    assert_close(want.numpy(), value(RmsNorm(const(half), axis=3)), within=2e-3)


@pytest.mark.parametrize("text", RMS_NORMS)
def test_rms_norm_is_read_as_written(text: str):
    assert dump(parse(text)) == text


@pytest.mark.parametrize(
    ("parameter", "complaint"),
    [(reals(4), r"f32\[4\], which does not spread"), (reals(1, 1, 1, 1, 3), "does not spread")],
)
def test_refuses_parameters_that_do_not_spread(parameter: Const, complaint: str):
    with pytest.raises(TypeMismatch, match=complaint):
        RmsNorm(X, parameter, 3)


@pytest.mark.parametrize("axis", [-1, 4])
def test_refuses_axes_that_are_none(axis: int):
    with pytest.raises(TypeMismatch, match=f"axis {axis} is not an axis"):
        RmsNorm(X, axis=axis)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_local_response_norm(size: int):
    want = functional.local_response_norm(x, size, alpha=0.1, beta=0.7, k=2.0)
    node = LocalResponseNorm(X, size, alpha=0.1, beta=0.7, bias=2.0)
    assert_close(want.numpy(), value(node), within=1e-6)


def test_refuses_parameters_of_another_length():
    with pytest.raises(TypeMismatch, match=r"parameter is f32\[3\], wants \[4\]"):
        BatchNorm(X, reals(3), BETA, MEAN, VAR)
