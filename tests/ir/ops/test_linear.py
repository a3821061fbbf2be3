"""Contractions: torch's numbers on reals, exact sums on integers, units multiply."""

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from qcompile.errors import TypeMismatch
from qcompile.ir.dims import static
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.source import const
from qcompile.ir.types import I8, I32, U8, Scalar
from qcompile.ir.unit import Affine, per_tensor
from tests.helpers import assert_close, integers, reals, value

Values = NDArray[Any]


def tensor(array: Values) -> torch.Tensor:
    return torch.tensor(array)


CUBE = {"stride": (1, 2, 1), "pads": (1, 1, 1, 1, 1, 1), "dilation": (1, 1, 1)}
CONVS = [
    ((2, 3, 8, 7), (4, 3, 3, 3), {"pads": (1, 1, 1, 1)}),
    ((1, 3, 9, 9), (4, 3, 3, 2), {"stride": (2, 3)}),
    ((1, 4, 9, 8), (6, 2, 3, 3), {"groups": 2, "pads": (2, 2, 2, 2), "dilation": (2, 2)}),
    ((2, 4, 6, 6), (4, 1, 3, 3), {"groups": 4, "pads": (1, 1, 1, 1), "stride": (2, 2)}),
    ((1, 4, 6, 6), (8, 1, 2, 3), {"groups": 4}),
    ((1, 5, 4, 4), (7, 5, 1, 1), {"stride": (2, 2)}),
    ((1, 2, 9), (3, 2, 3), {"stride": (2,), "pads": (1, 1), "dilation": (2,)}),
    ((1, 2, 5, 5, 4), (3, 2, 2, 2, 2), CUBE),
]  # fmt: skip


@pytest.mark.parametrize(("x", "w", "how"), CONVS)
def test_conv_is_torchs(x: tuple[int, ...], w: tuple[int, ...], how: dict[str, Any]):
    n = len(x) - 2
    node = Conv(reals(*x), reals(*w, seed=1), reals(w[0], seed=2), **how)
    function = [torch.conv1d, torch.conv2d, torch.conv3d][n - 1]
    want = function(
        tensor(value(node.x)), tensor(value(node.w)), tensor(value(reals(w[0], seed=2))),
        node.stride, node.pads[:n], node.dilation, node.groups,
    )  # fmt: skip
    assert_close(want.numpy(), value(node), within=1e-6)


def test_uneven_pads_are_a_border_of_zeros():
    x, w = reals(1, 2, 5, 5), reals(3, 2, 3, 3, seed=1)
    border = const(np.pad(value(x), ((0, 0), (0, 0), (0, 2), (1, 0))))
    uneven = Conv(x, w, pads=(0, 1, 2, 0))
    assert_close(value(Conv(border, w)), value(uneven), within=1e-6)


TRANSPOSED: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((1, 4, 5, 6), (4, 3, 3, 3), {}),
    ((2, 4, 5, 4), (4, 3, 3, 2), {"stride": (2, 3), "pads": (1, 1, 1, 1)}),
    ((1, 4, 4, 4), (4, 3, 3, 3), {"stride": (2, 2), "pads": (1,) * 4, "output_padding": (1, 1)}),
    ((1, 4, 4, 4), (4, 2, 3, 3), {"groups": 2, "stride": (3, 2), "output_padding": (2, 1)}),
    ((1, 4, 4, 5), (4, 2, 3, 3), {"groups": 4, "dilation": (2, 2), "pads": (2, 2, 2, 2)}),
]


@pytest.mark.parametrize(("x", "w", "how"), TRANSPOSED)
def test_conv_transpose_is_torchs(x: tuple[int, ...], w: tuple[int, ...], how: dict[str, Any]):
    node = ConvTranspose(reals(*x), reals(*w, seed=1), **how)
    want = torch.conv_transpose2d(
        tensor(value(node.x)), tensor(value(node.w)), None, node.stride, node.pads[:2],
        node.output_padding, node.groups, node.dilation,
    )  # fmt: skip
    assert_close(want.numpy(), value(node), within=1e-6)


def test_conv_transpose_cuts_uneven_pads():
    x, w = reals(1, 2, 4, 4), reals(2, 3, 3, 3, seed=1)
    whole = value(ConvTranspose(x, w))
    assert_close(whole[:, :, 1:, :-2], value(ConvTranspose(x, w, pads=(1, 0, 0, 2))), within=1e-6)


def test_mat_mul_broadcasts_over_leading_axes():
    a, b, bias = reals(2, 1, 3, 4), reals(5, 4, 6, seed=1), reals(6, seed=2)
    want = np.matmul(value(a), value(b)) + value(bias)
    assert_close(want, value(MatMul(a, b, bias)), within=1e-6)


def naive_conv(x: Values, w: Values, *, zx: int, zw: Values, node: Conv) -> Values:
    """The sum as written in Conv's docstring, in Python integers."""
    (t, u), (a, b, _, _), (d, e) = node.stride, node.pads, node.dilation
    result: Values = np.zeros(static(node.type.shape), object)
    per_group = w.shape[0] // node.groups
    for n, o, p, q in np.ndindex(result.shape):
        for c, i, j in product(*map(range, w.shape[1:])):
            h, v = t * p + d * i - a, u * q + e * j - b
            if 0 <= h < x.shape[2] and 0 <= v < x.shape[3]:
                channel = o // per_group * w.shape[1] + c
                step = int(x[n, channel, h, v]) - zx
                result[n, o, p, q] += step * (int(w[o, c, i, j]) - int(zw[o]))
    return result


INTEGER_CONVS = [
    {"pads": (1, 0, 1, 2), "stride": (2, 1)},
    {"groups": 2, "dilation": (2, 1)},
    {"groups": 4, "pads": (1, 1, 1, 1)},
]


@pytest.mark.parametrize("how", INTEGER_CONVS)
def test_integer_conv_is_the_sum_of_centred_products(how: dict[str, Any]):
    zw = (1, -2, 0, 3)
    weight = Affine((0.5, 0.25, 1.0, 2.0), zw, axis=0)
    x = integers(1, 4, 5, 4, elem=U8, unit=per_tensor(0.1, 131))
    w = integers(4, 4 // how.get("groups", 1), 3, 2, elem=I8, unit=weight, seed=1)
    node = Conv(x, w, **how)
    want = naive_conv(value(x), value(w), zx=131, zw=np.array(zw), node=node)
    np.testing.assert_array_equal(value(node), want.astype(np.int32))


def test_integer_conv_transpose_is_the_float_one_on_centred_integers():
    x = integers(1, 4, 4, 3, elem=U8, unit=per_tensor(0.1, 100))
    w = integers(4, 2, 3, 3, elem=I8, unit=per_tensor(0.5), seed=1)
    how: dict[str, Any] = {"stride": (2, 2), "pads": (1, 0, 1, 0), "groups": 2}
    centred_x = const(value(x).astype(np.float64) - 100)
    want = value(ConvTranspose(centred_x, const(value(w).astype(np.float64)), **how))
    np.testing.assert_array_equal(value(ConvTranspose(x, w, **how)), want)


def test_the_accumulator_counts_in_the_product_of_the_units():
    x = integers(1, 2, 4, 4, elem=U8, unit=per_tensor(0.5, 3))
    w = integers(2, 2, 1, 1, elem=I8, unit=Affine((0.25, 2.0), axis=0))
    assert Conv(x, w).type.unit == Affine((0.125, 1.0), axis=1)


def test_a_grouped_transpose_repeats_the_weights_scales():
    x = integers(1, 4, 2, 2, elem=U8, unit=per_tensor(0.5))
    w = integers(4, 2, 1, 1, elem=I8, unit=Affine((1.0, 2.0), axis=1))
    assert ConvTranspose(x, w, groups=2).type.unit == Affine((0.5, 1.0, 0.5, 1.0), axis=1)


def test_a_sum_beyond_32_bits_is_an_error_not_a_wrap():
    big = const(np.full((1, 1 << 17), 255), elem=Scalar("u9"), unit=per_tensor(1.0))
    with pytest.raises(OverflowError, match="does not fit 32 bits"):
        value(MatMul(big, const(np.full((1 << 17, 1), 255), elem=U8, unit=per_tensor(1.0))))


def test_refuses_a_weight_of_other_channels():
    with pytest.raises(TypeMismatch, match="weight takes 4 channels, input has 3"):
        Conv(reals(1, 3, 4, 4), reals(2, 4, 1, 1))


def test_refuses_a_bias_in_another_unit():
    x = integers(1, 2, elem=U8, unit=per_tensor(0.5))
    w = integers(2, 3, elem=I8, unit=per_tensor(0.5))
    with pytest.raises(TypeMismatch, match=r"bias counts in 0\.5@0, the accumulator in 0\.25@0"):
        MatMul(x, w, integers(3, elem=I32, unit=per_tensor(0.5)))


def test_refuses_to_mix_integers_and_reals():
    with pytest.raises(TypeMismatch, match="mixes quantized and float operands"):
        MatMul(reals(1, 2), integers(2, 3, elem=I8, unit=per_tensor(0.5)))


def test_refuses_weight_scales_on_the_contracted_axis():
    w = integers(2, 3, elem=I8, unit=Affine((1.0, 2.0), axis=0))
    with pytest.raises(TypeMismatch, match="wants weight scales on axis 1"):
        MatMul(integers(1, 2, elem=U8, unit=per_tensor(0.5)), w)


def test_refuses_a_window_larger_than_the_input():
    with pytest.raises(TypeMismatch, match="window of 3 does not fit into length 2"):
        Conv(reals(1, 1, 2, 2), reals(1, 1, 3, 3))
