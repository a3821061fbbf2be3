"""Element formats and tensor types."""

import ml_dtypes
import numpy as np
import pytest

from qcompile.ir.types import F32, I8, Scalar, TensorType, f32, scalar_of
from qcompile.ir.unit import Affine, per_tensor

RANGES = [("i8", -128, 127), ("u8", 0, 255), ("i4", -8, 7), ("u3", 0, 7), ("i1", -1, 0)]


@pytest.mark.parametrize(("name", "lo", "hi"), RANGES)
def test_integers_of_any_width_know_their_range(name: str, lo: int, hi: int):
    assert (Scalar(name).lo, Scalar(name).hi) == (lo, hi)


STORAGE = [
    ("i4", np.int8), ("u12", np.uint16), ("i33", np.int64), ("bool", np.bool_),
    ("bf16", ml_dtypes.bfloat16), ("f4e2m1", ml_dtypes.float4_e2m1fn),
]  # fmt: skip


@pytest.mark.parametrize(("name", "dtype"), STORAGE)
def test_storage_is_the_narrowest_dtype_that_holds_it(name: str, dtype: type):
    assert Scalar(name).storage == np.dtype(dtype)


@pytest.mark.parametrize("name", ["f64", "f32", "f16", "bf16", "f8e4m3", "i8", "u64", "bool"])
def test_scalar_of_its_storage_is_the_scalar(name: str):
    assert scalar_of(Scalar(name).storage) == Scalar(name)


@pytest.mark.parametrize("name", ["i0", "i65", "f33", "int8", "", "u08"])
def test_refuses_formats_that_are_none(name: str):
    with pytest.raises(ValueError, match="no element format"):
        Scalar(name)


def test_refuses_dtypes_that_are_none():
    with pytest.raises(ValueError, match="no element format for dtype complex64"):
        scalar_of(np.complex64)


def test_bool_is_neither_integer_nor_float():
    assert (Scalar("bool").is_integer, Scalar("bool").is_float, Scalar("bool").signed) == (
        False,
    ) * 3


def test_prints_as_people_write_it():
    assert str(TensorType((1, 64), I8, per_tensor(0.0213, -3))) == "i8[1, 64] ~ 0.0213@-3"
    assert str(f32(2, 3)) == "f32[2, 3]"


def test_reals_have_no_unit():
    with pytest.raises(ValueError, match="f32 elements have no unit"):
        TensorType((1,), F32, per_tensor(1.0))


def test_a_units_axis_must_be_an_axis_of_matching_length():
    with pytest.raises(ValueError, match="unit's axis 2 is not an axis"):
        TensorType((1, 2), I8, Affine((1.0, 2.0), axis=2))
    with pytest.raises(ValueError, match="2 scales for 3 channels"):
        TensorType((3,), I8, Affine((1.0, 2.0), axis=0))
