"""The borders of the integer program: nearest integers, ties to even, saturated."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcompile.errors import TypeMismatch
from qcompile.ir.ops.quant import Dequantize, FakeQuant, Observe, Quantize, Spec
from qcompile.ir.ops.source import const
from qcompile.ir.types import F32, I8, U8, Scalar, TensorType
from qcompile.ir.unit import Affine, per_tensor
from tests.helpers import integers, reals, value

HALVES = const(np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5], np.float32))


def test_ties_go_to_the_even_neighbour():
    assert value(Quantize(HALVES, I8, per_tensor(1.0))).tolist() == [-2, -2, 0, 0, 2, 2]


def test_saturates_and_takes_nan_for_zero():
    x = const(np.array([-np.inf, -1e30, 1e30, np.inf, np.nan], np.float32))
    assert value(Quantize(x, U8, per_tensor(0.1, 5))).tolist() == [0, 0, 255, 255, 5]


def test_saturates_to_narrow_elements():
    assert value(Quantize(HALVES, Scalar("i2"), per_tensor(1.0))).tolist() == [-2, -2, 0, 0, 1, 1]


def test_scales_per_channel_run_along_their_axis():
    x = const(np.ones((2, 2), np.float32))
    node = Quantize(x, I8, Affine((0.5, 0.25), (0, 1), axis=1))
    assert value(node).tolist() == [[2, 5], [2, 5]]


@given(st.floats(-12.0, 12.0, width=32))
def test_quantizing_errs_by_half_a_step_at_most(x: float):
    q = Quantize(const(np.array([x], np.float32)), U8, per_tensor(0.1, 128))
    assert abs(value(Dequantize(q))[0] - x) <= 0.05 * (1 + 1e-4)


def test_fake_quant_is_dequantize_of_quantize():
    x, unit = reals(50), per_tensor(0.03, 100)
    snapped = FakeQuant(x, U8, unit)
    assert snapped.type == TensorType((50,), F32)
    np.testing.assert_array_equal(value(snapped), value(Dequantize(Quantize(x, U8, unit))))


def test_fake_quant_changes_nothing_the_second_time():
    once = FakeQuant(reals(50), I8, per_tensor(0.03, 4))
    np.testing.assert_array_equal(value(FakeQuant(once, I8, per_tensor(0.03, 4))), value(once))


def test_observe_is_the_identity():
    np.testing.assert_array_equal(value(Observe(reals(5), Spec())), value(reals(5)))


def test_refuses_what_is_not_real():
    with pytest.raises(TypeMismatch, match="quantizes float32 only"):
        Quantize(integers(2, elem=I8), U8, per_tensor(1.0))
    with pytest.raises(TypeMismatch, match="observes reals only"):
        Observe(integers(2, elem=I8), Spec())
    with pytest.raises(TypeMismatch, match="wants integers with a unit"):
        Dequantize(reals(2))


def test_refuses_a_unit_that_does_not_fit_the_shape():
    with pytest.raises(TypeMismatch, match="2 scales for 3 channels"):
        FakeQuant(reals(3), I8, Affine((1.0, 2.0), axis=0))
