"""The borders of the integer program: nearest integers, ties to even, saturated."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcompile.errors import TypeMismatch
from qcompile.ir.ops.quant import (
    Dequantize,
    FakeQuant,
    FakeQuantDynamic,
    Observe,
    Quantize,
    Spec,
    to_integers,
)
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


VECTORS = st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=8)


@given(VECTORS, st.sampled_from(["i4", "i8"]))
def test_each_vector_errs_by_half_a_step_of_its_own(numbers: list[float], elem: str):
    x = np.array([numbers, [n / 1000 for n in numbers]], np.float32)
    found = value(FakeQuantDynamic(const(x), Scalar(elem), axis=1))
    step = np.abs(x).max(1, keepdims=True).astype(np.float64) / Scalar(elem).hi
    assert (np.abs(found.astype(np.float64) - x) <= step * 0.5 * (1 + 1e-5) + 1e-30).all()


def test_a_dynamic_scale_rounds_once_in_the_division_by_127_and_once_in_that_by_itself():
    x = np.array([[3.0, -1.0, 0.7]], np.float32)
    scale = np.float32(3.0) / np.float32(127)
    wanted = np.rint(x / scale).astype(np.float32) * scale
    np.testing.assert_array_equal(value(FakeQuantDynamic(const(x), I8, axis=1)), wanted)


def test_dynamic_vectors_lie_along_the_axis_and_zeros_stay_zeros():
    x = np.array([[0.0, 1.0], [0.0, 0.1]], np.float32)
    found = value(FakeQuantDynamic(const(x), Scalar("i4"), axis=0))
    assert found[:, 0].tolist() == [0.0, 0.0]
    assert found[1, 1] == np.float32(1) / np.float32(7)


def test_the_least_integer_is_not_used_by_a_dynamic_scale():
    x = const(-np.ones((1, 4), np.float32))
    assert value(FakeQuantDynamic(x, I8, axis=1)).tolist() == [[-1.0] * 4]


def test_dynamic_scales_want_signed_integers_and_an_axis():
    with pytest.raises(TypeMismatch, match="wants signed, not u8"):
        FakeQuantDynamic(reals(2, 2), U8, axis=1)
    with pytest.raises(TypeMismatch, match="axis 2 of a tensor of rank 2"):
        FakeQuantDynamic(reals(2, 2), I8, axis=2)


GROUPED = Affine((0.5, 1.0), axis=0, group=2, steps=bytes([1, 3, 2, 16]))


def test_a_group_divides_by_its_step():
    x = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 32.0]], np.float32)
    assert to_integers(x, Scalar("i4"), GROUPED).tolist() == [[2, 4, 2], [1, 2, 2]]


def test_what_a_group_snaps_to_is_a_whole_number_of_the_channels_steps():
    x = reals(2, 3)
    found = value(FakeQuant(x, Scalar("i4"), GROUPED)) / np.array([[0.5], [1.0]])
    np.testing.assert_array_equal(found, np.rint(found))


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
