"""Requantize, tables and the integer softmax: exact at every extreme."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qcompile.ir.ops.integer import ExpandGroups, Lut, Requantize, requantize, softmax_integer
from qcompile.ir.ops.linear import Conv
from qcompile.ir.ops.source import Input, const
from qcompile.ir.types import Scalar, TensorType
from qcompile.ir.unit import Affine, per_tensor
from qcompile.numerics.fixedpoint import Multipliers
from tests.targets.onnx.checks import bias, ints, same_bits, weights

EDGES = [-(2**31), -(2**31) + 1, -(2**30), -3, -2, -1, 0, 1, 2, 3, 2**30, 2**31 - 2, 2**31 - 1]


@st.composite
def _requantizes(draw: st.DrawFn) -> tuple[Requantize, np.ndarray]:
    shift = draw(st.integers(0, 62))
    count = draw(st.sampled_from([1, 3]))
    limit = st.one_of(st.sampled_from([0, 1, 2**31 - 1, 2**30]), st.integers(0, 2**31 - 1))
    numbers = Multipliers(tuple(draw(limit) for _ in range(count)), shift)
    elem = Scalar(draw(st.sampled_from(["u8", "i8", "i4", "u4", "i16", "u16", "i32"])))
    zero = draw(st.integers(elem.lo, elem.hi)) if elem.bits < 32 else 0
    lo, hi = sorted((draw(st.integers(elem.lo, elem.hi)), draw(st.integers(elem.lo, elem.hi))))
    unit = Affine((0.1,) * count, axis=None if count == 1 else 1)
    extra = draw(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=5, max_size=5))
    values = np.array([EDGES + extra] * 3, np.int32).reshape(1, 3, -1)
    x = Input(TensorType(values.shape, Scalar("i32"), unit), name="x")
    return Requantize(x, elem, per_tensor(0.2, zero), numbers, lo, hi), values


@settings(max_examples=150, deadline=None)
@given(_requantizes())
def test_requantize_at_the_extremes(case: tuple[Requantize, np.ndarray]):
    node, values = case
    same_bits(node, inputs={"x": values})


def test_groups_of_a_computed_value():
    unit = Affine((0.1, 0.2), axis=1, group=2, steps=bytes([1, 16, 7, 3]))
    same_bits(ExpandGroups(Input(TensorType((3, 2), Scalar("i4"), unit), name="x")))


@pytest.mark.parametrize("shift", range(0, 63, 2))
def test_requantize_of_the_greatest_products(shift: int):
    values = np.array(EDGES, np.int32)
    x = Input(TensorType(values.shape, Scalar("i32"), per_tensor(1.0)), name="x")
    numbers = Multipliers((2**31 - 1,), shift)
    node = Requantize(x, Scalar("i8"), per_tensor(0.5, -128), numbers, -128, 127)
    wide = Requantize(x, Scalar("i32"), per_tensor(0.5), numbers, -(2**31), 2**31 - 1)
    same_bits(node, wide, inputs={"x": values})


@pytest.mark.parametrize("to", ["u8", "i8", "i4", "i16", "i32"])
@pytest.mark.parametrize("elem", ["u8", "i8", "u4", "i5", "i16"])
def test_requantize_of_narrow_integers(elem: str, to: str):
    x = ints(elem, 2, 3, 50, zero=3, scale=0.07)
    target = Scalar(to)
    same_bits(requantize(x, target, per_tensor(0.031, 0 if to == "i32" else 5)))


def test_requantize_of_a_concat_that_keeps_its_units_apart():
    unit = Affine((0.1, 0.3, 0.2), (5, -7, 100), axis=1)
    x = Input(TensorType((2, 3, 40), Scalar("i8"), unit), name="x")
    same_bits(requantize(x, Scalar("u8"), per_tensor(0.15, 128)))


@pytest.mark.parametrize("to", ["u8", "i8"])
def test_conv_bias_requantize(to: str):
    rng = np.random.default_rng(0)
    x, w = ints("u8", 1, 8, 9, 9, zero=7), weights(rng, 12, 8, 3, 3, axis=0)
    b = bias(rng, Conv(x, w).type.unit)
    conv = Conv(x, w, b, pads=(1, 1, 1, 1), stride=(2, 2), name="conv")
    same_bits(conv, requantize(conv, Scalar(to), per_tensor(0.4, 3), lo=3))


@pytest.mark.parametrize("to", ["u8", "i8", "i32", "i16"])
@pytest.mark.parametrize("elem", ["u8", "i8", "i4", "u3", "i16", "u16"])
def test_table(elem: str, to: str):
    rng = np.random.default_rng(1)
    x = ints(elem, 3, 7, 5, zero=1)
    kind = Scalar(to)
    entries = rng.integers(kind.lo, kind.hi, 1 << x.type.elem.bits, endpoint=True)
    same_bits(Lut(x, const(entries.astype(kind.storage), unit=per_tensor(0.1, 2))))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(("elem", "scale"), [("u8", 0.1), ("i8", 0.002), ("i16", 0.001)])
def test_softmax(elem: str, scale: float, axis: int):
    same_bits(softmax_integer(ints(elem, 3, 7, 5, zero=1, scale=scale), axis))


def test_softmax_of_equal_and_of_far_values():
    x = ints("u8", 2, 4, scale=1.0)
    values = np.array([[9, 9, 9, 9], [255, 0, 254, 0]], np.uint8)
    same_bits(softmax_integer(x, 1), inputs={"x": values})
