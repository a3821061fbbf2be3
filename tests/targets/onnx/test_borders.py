"""Where reals and integers meet: every real, and no float in between."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qcompile.errors import NotLegal
from qcompile.ir.ops.integer import requantize
from qcompile.ir.ops.linear import Conv
from qcompile.ir.ops.pointwise import Sigmoid
from qcompile.ir.ops.pool import AveragePool, MaxPool
from qcompile.ir.ops.quant import Dequantize, FakeQuant, FakeQuantDynamic, Observe, Quantize, Spec
from qcompile.ir.types import I8, U8, Scalar
from qcompile.ir.unit import Affine, per_tensor
from qcompile.targets.onnx import emit_integer, floats_between, to_onnx
from tests.targets.onnx.checks import bias, graph_of, ints, near, reals, same_bits, weights

ODD = np.array(
    [0.0, -0.0, np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45, 0.05, 0.15, 0.25, -0.05, -0.15, 1e9],
    np.float32,
)


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("elem", ["u8", "i8", "u4", "i4", "i3", "u16", "i16", "i24"])
def test_quantize_odd_numbers(elem: str):
    kind = Scalar(elem)
    x = reals(ODD.size * 3)
    unit = per_tensor(0.1, 1 + kind.lo // 2)
    same_bits(Quantize(x, kind, unit), inputs={"x": np.tile(ODD, 3)})


@pytest.mark.filterwarnings("ignore:overflow")
@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float32, 37, elements=st.floats(width=32)),
    st.floats(2.0**-20, 1024.0, width=32),
    st.integers(-128, 127),
)
def test_quantize_any_number(values: np.ndarray, scale: float, zero: int):
    x = reals(37)
    same_bits(Quantize(x, I8, per_tensor(scale, zero)), inputs={"x": values})


def test_quantize_per_channel():
    unit = Affine((0.1, 0.2, 0.4), (3, 0, -9), axis=1)
    same_bits(Quantize(reals(2, 3, 50), I8, unit))


def test_quantize_of_32_bits_is_refused():
    with pytest.raises(NotLegal, match="24 bits"):
        to_onnx(graph_of(Quantize(reals(3), Scalar("i32"), per_tensor(1.0))))


@pytest.mark.parametrize("elem", ["u8", "i8", "i4", "i16", "u16", "i32"])
def test_dequantize(elem: str):
    zero = 0 if elem == "i32" else 3
    same_bits(Dequantize(ints(elem, 5, 40, scale=0.0371, zero=zero)))


def test_dequantize_of_an_accumulator():
    rng = np.random.default_rng(0)
    x, w = ints("u8", 1, 4, 6, 6, zero=100), weights(rng, 5, 4, 3, 3, axis=0)
    same_bits(Dequantize(Conv(x, w, bias(rng, Conv(x, w).type.unit))))


def _network() -> Dequantize:
    rng = np.random.default_rng(0)
    x = Quantize(reals(1, 3, 16, 16), U8, per_tensor(0.05, 128), name="q")
    w = weights(rng, 8, 3, 3, 3, axis=0)
    conv = Conv(x, w, bias(rng, Conv(x, w).type.unit), pads=(1, 1, 1, 1), name="conv")
    narrow = requantize(conv, I8, per_tensor(0.3), lo=0, name="narrow")
    pooled = MaxPool(narrow, (2, 2), (2, 2), (0, 0, 0, 0), (1, 1))
    mean = AveragePool(pooled, (3, 3), (2, 2), (1, 1, 1, 1), (1, 1))
    return Dequantize(requantize(mean, U8, per_tensor(0.2, 5)), name="real")


def test_no_float_between_quantize_and_dequantize():
    assert floats_between(to_onnx(same_bits(_network()))) == []


def test_a_float_island_is_found():
    island = Quantize(Sigmoid(_network(), name="island"), U8, per_tensor(1 / 256))
    assert "Sigmoid island" in floats_between(to_onnx(graph_of(Dequantize(island))))


def test_markers_on_a_float_graph():
    x = reals(2, 3, 40)
    unit = Affine((0.1, 0.2, 0.4), (3, 0, -2), axis=1)
    near(
        Observe(x, Spec()),
        FakeQuant(x, U8, per_tensor(0.1, 100)),
        FakeQuant(x, Scalar("i4"), unit),
    )


@pytest.mark.parametrize(("elem", "axis"), [("i8", 0), ("i4", 1)])
def test_a_dynamic_fake_quant_is_the_interpreters(elem: str, axis: int):
    near(FakeQuantDynamic(reals(5, 7), Scalar(elem), axis), relative=0, absolute=0)


def test_markers_are_refused_in_an_integer_program(tmp_path):
    with pytest.raises(NotLegal, match="quantized first"):
        emit_integer(graph_of(Observe(reals(3), Spec())), tmp_path)
