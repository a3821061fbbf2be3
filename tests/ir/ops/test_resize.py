"""Resampling: torch's numbers on reals; exact sums on integers."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from qcompile.errors import TypeMismatch
from qcompile.ir.ops.resize import FRACTION_BITS, ResizeLinear, ResizeNearest
from qcompile.ir.ops.source import const
from qcompile.ir.types import I32, U8
from qcompile.ir.unit import per_tensor
from tests.helpers import assert_close, integers, reals, value

HALF_PIXEL = [((i + 0.5) / 2 - 0.5) for i in range(8)]  # length 4 to 8
LOW = tuple(int(np.floor(max(p, 0))) for p in HALF_PIXEL)
FRAC = tuple(max(p, 0) - low for p, low in zip(HALF_PIXEL, LOW, strict=True))


def test_nearest_takes_the_listed_indices():
    x = reals(1, 2, 4, 3)
    node = ResizeNearest(x, ((0, 0, 1, 1, 2, 2, 3, 3), (0, 0, 1, 1, 2, 2)))
    want = functional.interpolate(torch.tensor(value(x)), scale_factor=2, mode="nearest")
    np.testing.assert_array_equal(value(node), want.numpy())


def test_nearest_refuses_an_index_outside():
    with pytest.raises(TypeMismatch, match="outside of length 3"):
        ResizeNearest(reals(1, 3), ((0, 3),))


def test_linear_is_torchs_bilinear():
    x = reals(1, 2, 4, 4)
    want = functional.interpolate(torch.tensor(value(x)), scale_factor=2, mode="bilinear")
    assert_close(want.numpy(), value(ResizeLinear(x, (LOW, LOW), (FRAC, FRAC))), within=1e-6)


def test_integer_linear_equals_the_real_one_when_fractions_are_exact():
    x = integers(1, 1, 4, 4, elem=U8, unit=per_tensor(0.5, 9))
    node = ResizeLinear(x, (LOW, LOW), (FRAC, FRAC))
    real = ResizeLinear(const(value(x).astype(np.float64) - 9), node.low, node.frac)
    assert (node.type.elem, node.type.unit) == (I32, per_tensor(0.5 / (1 << 2 * FRACTION_BITS)))
    np.testing.assert_array_equal(value(node), value(real) * (1 << 2 * FRACTION_BITS))
