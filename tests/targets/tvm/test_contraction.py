"""Convolutions and matrix products, bit for bit."""

from pathlib import Path
from typing import Any

import pytest

from qcompile.ir.dims import static
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add
from qcompile.ir.ops.integer import requantize
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.types import I8, I32, U8, Scalar
from qcompile.ir.unit import per_tensor
from qcompile.targets.tvm.isa import Isa
from tests.targets.tvm.checks import (
    biased,
    every_isa,
    given,
    graph_of,
    narrowed,
    same_bits,
    weights,
)  # fmt: skip

I4 = Scalar("i4")


def convolution(x: Node, outputs: int, kernel: tuple[int, ...], **options: Any) -> Conv:
    """A convolution with a bias."""
    w = weights(outputs, static(x.type.shape)[1] // options.get("groups", 1), *kernel)
    rank = len(kernel)
    plain: dict[str, Any] = {
        "stride": (1,) * rank,
        "pads": (0,) * 2 * rank,
        "dilation": (1,) * rank,
    }
    bare = Conv(x, w, **(plain | options))
    return bare.replace(bias=biased(bare, 1))


CONVOLUTIONS: dict[str, Any] = {
    "1x1": ((1, 64, 8, 8), 32, (1, 1), {}),
    "1x1 with ragged channels": ((1, 13, 5, 7), 19, (1, 1), {}),
    "1x1 strided": ((1, 32, 9, 9), 32, (1, 1), {"stride": (2, 2)}),
    "3x3 padded": ((1, 16, 10, 10), 16, (3, 3), {"pads": (1, 1, 1, 1)}),
    "3x3 strided and padded": ((1, 20, 13, 11), 24, (3, 3), {"pads": (1,) * 4, "stride": (2, 2)}),
    "pads of four kinds": ((1, 8, 6, 6), 8, (3, 3), {"pads": (0, 1, 2, 3)}),
    "dilated": ((1, 8, 12, 12), 8, (3, 3), {"dilation": (2, 3), "pads": (2, 3, 2, 3)}),
    "7x7 on a picture": ((1, 3, 24, 20), 16, (7, 7), {"stride": (2, 2), "pads": (3,) * 4}),
    "one channel": ((1, 1, 12, 12), 8, (3, 3), {"pads": (1,) * 4}),
    "two channels, dilated": ((1, 2, 12, 12), 8, (3, 3), {"dilation": (1, 2)}),
    "one output": ((2, 5, 6, 6), 1, (3, 3), {}),
    "a batch": ((3, 8, 5, 5), 8, (3, 3), {"pads": (1,) * 4}),
    "groups of 4": ((1, 32, 6, 6), 32, (3, 3), {"groups": 8, "pads": (1,) * 4}),
    "groups of 24": ((1, 48, 6, 6), 48, (1, 1), {"groups": 2}),
    "groups that widen": ((1, 6, 6, 6), 30, (3, 3), {"groups": 3}),
    "depthwise": ((1, 24, 9, 9), 24, (3, 3), {"groups": 24, "pads": (1,) * 4}),
    "depthwise strided": (
        (1, 40, 9, 9), 40, (5, 5), {"groups": 40, "stride": (2, 2), "pads": (2,) * 4},
    ),
    "depthwise multiplier": ((1, 10, 7, 7), 30, (3, 3), {"groups": 10}),
    "1-D": ((2, 12, 30), 20, (5,), {"pads": (2, 2), "stride": (2,)}),
    "1-D depthwise": ((1, 17, 30), 17, (3,), {"groups": 17, "pads": (1, 1)}),
    "3-D": ((1, 4, 5, 6, 7), 6, (2, 3, 3), {}),
    "a kernel as large as its input": ((1, 40, 4, 4), 24, (4, 4), {}),
    "wide and low": ((1, 16, 1, 100), 16, (1, 3), {"pads": (0, 1, 0, 1)}),
}  # fmt: skip


@every_isa
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolution(case: str, isa: Isa, tmp_path: Path):
    shape, outputs, kernel, options = CONVOLUTIONS[case]
    node = convolution(given(*shape), outputs, kernel, **options)
    same_bits(graph_of(narrowed(node)), tmp_path, isa)


@every_isa
def test_a_signed_input(isa: Isa, tmp_path: Path):
    node = convolution(given(1, 16, 6, 6, elem=I8), 16, (3, 3), pads=(1, 1, 1, 1))
    same_bits(graph_of(narrowed(node, elem=I8)), tmp_path, isa)


def test_a_16_bit_input(tmp_path: Path):
    node = convolution(given(1, 6, 6, 6, elem=Scalar("i16"), zero=0), 9, (3, 3))
    same_bits(graph_of(narrowed(node)), tmp_path)


def test_4_bit_weights(tmp_path: Path):
    x = given(1, 16, 6, 6)
    node = Conv(x, weights(16, 16, 3, 3, elem=I4))
    same_bits(graph_of(narrowed(node)), tmp_path)


def test_the_accumulator_itself(tmp_path: Path):
    node = convolution(given(1, 16, 6, 6), 10, (3, 3))
    same_bits(graph_of(node), tmp_path)


@every_isa
def test_a_residual_sum_in_the_epilogue(isa: Isa, tmp_path: Path):
    x = given(1, 32, 6, 6)
    fine = per_tensor(0.02 / (1 << 10))
    limit = 1 << 30
    a = requantize(convolution(x, 32, (3, 3), pads=(1,) * 4), I32, fine, lo=-limit, hi=limit)
    b = requantize(x, I32, fine, lo=-limit, hi=limit)
    total = requantize(Add(a, b), U8, per_tensor(0.5, 128))
    same_bits(graph_of(total), tmp_path, isa)


def test_two_convolutions_in_one_sum(tmp_path: Path):
    x = given(1, 24, 7, 7)
    fine = per_tensor(0.02 / (1 << 10))
    parts = [requantize(convolution(x, 40, (k, k), pads=(k // 2,) * 4), I32, fine) for k in (1, 3)]
    same_bits(graph_of(requantize(Add(*parts), U8, per_tensor(1.0, 100))), tmp_path)


TRANSPOSED: dict[str, Any] = {
    "stride 2": ((1, 16, 5, 5), 12, (3, 3), {"stride": (2, 2), "pads": (1,) * 4}),
    "output padding": (
        (1, 8, 5, 4), 8, (3, 3),
        {"stride": (2, 2), "pads": (1,) * 4, "output_padding": (1, 1)},
    ),
    "stride beyond the kernel": ((1, 8, 4, 4), 8, (2, 2), {"stride": (3, 3)}),
    "dilated": ((1, 8, 4, 5), 8, (3, 2), {"stride": (2, 1), "dilation": (3, 2)}),
    "groups": ((1, 12, 5, 5), 12, (4, 4), {"stride": (2, 2), "groups": 3}),
    "stride 1": ((2, 5, 5, 5), 7, (3, 3), {}),
}  # fmt: skip


@every_isa
@pytest.mark.parametrize("case", TRANSPOSED)
def test_transposed_convolution(case: str, isa: Isa, tmp_path: Path):
    shape, outputs, kernel, options = TRANSPOSED[case]
    x = given(*shape)
    groups = int(options.get("groups", 1))
    w = weights(shape[1], outputs // groups, *kernel, axis=1)
    bare = ConvTranspose(x, w, **options)
    node = bare.replace(bias=biased(bare, 1))
    same_bits(graph_of(narrowed(node)), tmp_path, isa)


PRODUCTS = {
    "vector": ((1, 64), (64, 10)),
    "rows": ((9, 70), (70, 33)),
    "batch": ((2, 3, 20), (20, 40)),
    "a batch of weights": ((4, 5, 8), (4, 8, 6)),
    "one column": ((6, 16), (16, 1)),
    "one term": ((6, 1), (1, 18)),
}


@every_isa
@pytest.mark.parametrize("case", PRODUCTS)
def test_product_with_constants(case: str, isa: Isa, tmp_path: Path):
    left, right = PRODUCTS[case]
    bare = MatMul(given(*left), weights(*right, axis=len(right) - 1))
    node = bare.replace(bias=biased(bare, len(bare.type.shape) - 1))
    same_bits(graph_of(narrowed(node)), tmp_path, isa)


@every_isa
@pytest.mark.parametrize(
    ("left", "right"),
    [((7, 20), (20, 9)), ((2, 3, 8, 16), (2, 3, 16, 8)), ((4, 5, 6), (6, 7)), ((1, 33), (33, 40))],
)
def test_product_of_two_values(
    left: tuple[int, ...], right: tuple[int, ...], isa: Isa, tmp_path: Path
):
    a = given(*left)
    b = given(*right, zero=100).replace(name="b")
    same_bits(graph_of(narrowed(MatMul(a, b))), tmp_path, isa)


def test_a_product_with_a_signed_value(tmp_path: Path):
    a, b = given(5, 12, elem=I8), given(12, 20, elem=I8, zero=0).replace(name="b")
    same_bits(graph_of(narrowed(MatMul(a, b))), tmp_path)
