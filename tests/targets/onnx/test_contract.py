"""Integer contractions: onnxruntime equals the graph bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcompile.errors import NotLegal
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.targets.onnx import to_onnx
from tests.targets.onnx.checks import bias, graph_of, ints, same_bits, weights

ELEMENTS = ["i8", "u8", "i4", "u4", "i3"]

CONVS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "plain": ((2, 3, 7, 9), (5, 3, 3, 3), {}),
    "strided": ((1, 4, 9, 8), (6, 4, 3, 2), {"stride": (2, 3), "pads": (1, 0, 2, 1)}),
    "dilated": ((1, 4, 11, 9), (6, 4, 3, 3), {"dilation": (2, 3), "pads": (2, 3, 2, 3)}),
    "grouped": ((2, 6, 7, 7), (4, 3, 3, 3), {"groups": 2, "pads": (1, 1, 1, 1)}),
    "depthwise": ((2, 5, 8, 7), (5, 1, 3, 3), {"groups": 5, "pads": (0, 1, 2, 0)}),
    "multiplied": ((1, 3, 6, 6), (6, 1, 3, 3), {"groups": 3, "stride": (2, 2)}),
    "pointwise": ((1, 16, 5, 5), (8, 16, 1, 1), {"stride": (2, 2)}),
    "one axis": (
        (2, 4, 13), (6, 2, 3), {"stride": (2,), "pads": (2, 1), "dilation": (2,), "groups": 2}
    ),
    "three axes": (
        (1, 2, 5, 6, 4),
        (3, 2, 2, 3, 2),
        {"stride": (1, 2, 1), "pads": (1, 0, 0, 0, 2, 1), "dilation": (1, 1, 2)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("x_elem", ["u8", "i8"])
@pytest.mark.parametrize("form", CONVS)
def test_conv_of_every_form(form: str, x_elem: str):
    rng = np.random.default_rng(1)
    shape, kernel, options = CONVS[form]
    x = ints(x_elem, *shape, zero=3 if x_elem == "u8" else -7)
    w = weights(rng, *kernel, axis=0)
    plain = Conv(x, w, **options)
    same_bits(Conv(x, w, bias(rng, plain.type.unit), **options, name="conv"))


@pytest.mark.parametrize("zeros", ["none", "one", "many"])
@pytest.mark.parametrize("elem", ELEMENTS)
def test_conv_weights_of_every_format(elem: str, zeros: str):
    rng = np.random.default_rng(2)
    x = ints("u8", 1, 4, 6, 6, zero=255)
    same_bits(Conv(x, weights(rng, 6, 4, 3, 3, elem=elem, axis=0, zeros=zeros), pads=(1, 1, 1, 1)))


@pytest.mark.parametrize("elem", ["i4", "u4", "i16", "u16", "i12"])
def test_conv_inputs_of_other_widths(elem: str):
    rng = np.random.default_rng(3)
    x = ints(elem, 1, 4, 6, 6, zero=5)
    same_bits(Conv(x, weights(rng, 6, 4, 3, 3, elem="i4", axis=0), pads=(1, 0, 1, 2)))


def test_conv_of_the_greatest_products():
    rng = np.random.default_rng(4)
    x = ints("u8", 1, 64, 4, 4)
    extreme = np.full((1, 64, 4, 4), 255, np.uint8)
    w = weights(rng, 8, 64, 3, 3)
    same_bits(Conv(x, w), inputs={"x": extreme})


def test_a_weight_used_by_two_convs_is_stored_once():
    rng = np.random.default_rng(5)
    x, w = ints("i8", 1, 4, 6, 6), weights(rng, 4, 4, 3, 3)
    graph = same_bits(Conv(x, w), Conv(x, w, pads=(1, 1, 1, 1)))
    assert sum(len(t.dims) == 4 for t in to_onnx(graph).graph.initializer) == 1


def test_a_computed_weight():
    x, w = ints("i8", 1, 4, 6, 6, zero=2), ints("i8", 3, 4, 2, 2, zero=-1, name="w")
    same_bits(Conv(x, w))


def test_wide_weights_are_refused():
    rng = np.random.default_rng(6)
    conv = Conv(ints("i8", 1, 1, 4, 4), weights(rng, 1, 1, 2, 2, elem="i16"))
    with pytest.raises(NotLegal, match="wider"):
        to_onnx(graph_of(conv))


TRANSPOSED: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "plain": ((2, 3, 4, 5), (3, 2, 3, 3), {}),
    "doubling": ((1, 4, 5, 4), (4, 3, 2, 2), {"stride": (2, 2)}),
    "padded": (
        (1, 4, 5, 4),
        (4, 3, 3, 4),
        {"stride": (2, 3), "pads": (1, 2, 0, 1), "output_padding": (1, 2)},
    ),
    "cut": ((1, 2, 6, 6), (2, 3, 2, 2), {"stride": (2, 2), "pads": (2, 3, 1, 2)}),
    "dilated": ((1, 2, 4, 4), (2, 3, 3, 2), {"stride": (2, 1), "dilation": (2, 3)}),
    "grouped": ((2, 6, 4, 4), (6, 2, 3, 3), {"stride": (2, 2), "groups": 3, "pads": (1, 1, 1, 1)}),
    "unstrided cut": ((1, 2, 6, 6), (2, 3, 2, 2), {"pads": (2, 0, 1, 2)}),
    "one axis": ((2, 4, 7), (4, 3, 4), {"stride": (2,), "pads": (1, 1), "dilation": (1,),
                                        "output_padding": (0,)}),
}  # fmt: skip


@pytest.mark.parametrize("x_elem", ["u8", "i8"])
@pytest.mark.parametrize("form", TRANSPOSED)
def test_transposed_conv_of_every_form(form: str, x_elem: str):
    rng = np.random.default_rng(7)
    shape, kernel, options = TRANSPOSED[form]
    x = ints(x_elem, *shape, zero=11)
    w = weights(rng, *kernel, axis=1, zeros="many")
    plain = ConvTranspose(x, w, **options)
    same_bits(ConvTranspose(x, w, bias(rng, plain.type.unit), **options))


def test_transposed_conv_of_16_bits():
    rng = np.random.default_rng(8)
    x = ints("i16", 1, 2, 4, 4, zero=-300)
    same_bits(ConvTranspose(x, weights(rng, 2, 3, 2, 2, elem="i4"), stride=(2, 2)))


MATMULS = {
    "matrix": ((3, 5), (5, 4)),
    "batch by matrix": ((2, 3, 5), (5, 4)),
    "batch by batch": ((2, 3, 3, 5), (2, 3, 5, 4)),
    "broadcast": ((2, 1, 3, 5), (3, 5, 4)),
    "row": ((1, 300), (300, 7)),
}


@pytest.mark.parametrize("zeros", ["none", "one", "many"])
@pytest.mark.parametrize("elem", ["i8", "u8", "i4"])
@pytest.mark.parametrize("form", MATMULS)
def test_matmul_by_weights(form: str, elem: str, zeros: str):
    rng = np.random.default_rng(9)
    left, right = MATMULS[form]
    a = ints("u8", *left, zero=128)
    b = weights(rng, *right, elem=elem, axis=len(right) - 1, zeros=zeros)
    same_bits(MatMul(a, b, bias(rng, MatMul(a, b).type.unit)))


@pytest.mark.parametrize("b_elem", ["u8", "i8", "i4"])
@pytest.mark.parametrize("a_elem", ["u8", "i8", "u4"])
@pytest.mark.parametrize("form", MATMULS)
def test_matmul_of_two_activations(form: str, a_elem: str, b_elem: str):
    left, right = MATMULS[form]
    a, b = ints(a_elem, *left, zero=3), ints(b_elem, *right, zero=-2 * (b_elem != "u8"), name="b")
    same_bits(MatMul(a, b))


def test_matmul_of_16_bits():
    rng = np.random.default_rng(10)
    a = ints("i16", 2, 3, 5, zero=-300)
    same_bits(MatMul(a, weights(rng, 5, 4, axis=1, zeros="many")))
