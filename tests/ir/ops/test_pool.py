"""Pools: torch's numbers on reals; on integers exact sums over a common multiple."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from qcompile.errors import TypeMismatch
from qcompile.ir.ops.pool import AveragePool, MaxPool
from qcompile.ir.types import I32, U8
from qcompile.ir.unit import Affine, per_tensor
from tests.helpers import assert_close, integers, reals, value

WINDOWS = [
    ((2, 2), (2, 2), 0, False),
    ((3, 2), (2, 1), 1, False),
    ((3, 3), (2, 2), 1, True),
    ((2, 2), (3, 3), 0, True),
    ((3, 3), (3, 3), 1, True),
    ((3, 3), (1, 2), 0, True),
]


@pytest.mark.parametrize(("kernel", "stride", "pad", "ceil"), WINDOWS)
def test_max_pool_is_torchs(kernel: Any, stride: Any, pad: int, ceil: bool):
    x = reals(2, 3, 8, 7)
    node = MaxPool(x, kernel, stride, (pad,) * 4, (1, 1), ceil)
    want = torch.nn.functional.max_pool2d(
        torch.tensor(value(x)), kernel, stride, pad, 1, ceil_mode=ceil
    )
    np.testing.assert_array_equal(value(node), want.numpy())


def test_dilated_max_pool_is_torchs():
    x = reals(1, 2, 9, 9)
    node = MaxPool(x, (3, 3), (2, 2), (1, 1, 1, 1), (2, 2))
    want = torch.nn.functional.max_pool2d(torch.tensor(value(x)), 3, 2, 1, 2)
    np.testing.assert_array_equal(value(node), want.numpy())


@pytest.mark.parametrize("border", [False, True])
@pytest.mark.parametrize(("kernel", "stride", "pad", "ceil"), WINDOWS)
def test_average_pool_is_torchs(kernel: Any, stride: Any, pad: int, ceil: bool, border: bool):
    x = reals(2, 3, 8, 7)
    node = AveragePool(x, kernel, stride, (pad,) * 4, (1, 1), ceil, border)
    want = torch.nn.functional.avg_pool2d(
        torch.tensor(value(x)), kernel, stride, pad, ceil_mode=ceil, count_include_pad=border
    )
    assert_close(want.numpy(), value(node), within=1e-6)


@pytest.mark.parametrize("border", [False, True])
@pytest.mark.parametrize(("kernel", "stride", "pad", "ceil"), WINDOWS)
def test_integer_average_is_exact_in_its_unit(
    kernel: Any, stride: Any, pad: int, ceil: bool, border: bool
):
    x = integers(1, 2, 8, 7, elem=U8, unit=per_tensor(1.0, 77))
    node = AveragePool(x, kernel, stride, (pad,) * 4, (1, 1), ceil, border)
    parts = node.common_multiple((8, 7))
    padded = np.pad(value(x).astype(int) - 77, ((0, 0), (0, 0), (pad, pad + 3), (pad, pad + 3)))
    sums = node.window.patches(padded, value(node).shape[2:]).sum((-1, -2))
    exact = np.vectorize(Fraction)(sums, node.divisors((8, 7)))
    assert (np.vectorize(Fraction)(value(node), parts) == exact).all()


def test_average_pools_unit_is_divided_by_the_common_multiple():
    x = integers(1, 1, 4, 4, elem=U8, unit=per_tensor(0.5))
    node = AveragePool(x, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1))
    assert node.common_multiple((4, 4)) == 36
    assert (node.type.elem, node.type.unit) == (I32, per_tensor(0.5 / 36))


def test_max_pool_keeps_the_unit_and_its_border_never_wins():
    x = integers(1, 1, 4, 4, elem=U8, unit=per_tensor(0.5, 200))
    node = MaxPool(x, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1))
    assert node.type.unit == per_tensor(0.5, 200)
    assert value(node)[0, 0, 0, 0] == value(x)[0, 0, :2, :2].max()


def test_max_pool_refuses_scales_per_channel():
    with pytest.raises(TypeMismatch, match="wants one scale"):
        MaxPool(
            integers(1, 2, 4, 4, elem=U8, unit=Affine((1.0, 2.0), axis=1)),
            (2, 2), (1, 1), (0,) * 4, (1, 1),
        )  # fmt: skip
