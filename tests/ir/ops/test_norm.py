"""Normalizations give torch's numbers."""

import pytest
import torch
from torch.nn import functional

from qcompile.errors import TypeMismatch
from qcompile.ir.ops.norm import BatchNorm, InstanceNorm, LayerNorm, LocalResponseNorm
from qcompile.ir.ops.pointwise import Abs
from tests.helpers import assert_close, reals, value

X = reals(2, 4, 5, 3)
GAMMA, BETA, MEAN, VAR = reals(4), reals(4, seed=1), reals(4, seed=2), Abs(reals(4, seed=3))
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


@pytest.mark.parametrize("size", [1, 3, 5])
def test_local_response_norm(size: int):
    want = functional.local_response_norm(x, size, alpha=0.1, beta=0.7, k=2.0)
    node = LocalResponseNorm(X, size, alpha=0.1, beta=0.7, bias=2.0)
    assert_close(want.numpy(), value(node), within=1e-6)


def test_refuses_parameters_of_another_length():
    with pytest.raises(TypeMismatch, match=r"parameter is f32\[3\], wants \[4\]"):
        BatchNorm(X, reals(3), BETA, MEAN, VAR)
