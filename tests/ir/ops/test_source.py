"""Inputs and constants."""

import numpy as np
import pytest

from qcompile.errors import TypeMismatch
from qcompile.ir.blob import blob
from qcompile.ir.dims import Symbol
from qcompile.ir.ops.source import Const, Input, const, input_shape
from qcompile.ir.types import F32, I8, Scalar, TensorType
from qcompile.ir.unit import per_tensor


def test_a_constants_format_is_its_arrays():
    assert const(np.zeros((2, 3), np.float32)).type == TensorType((2, 3), F32)


def test_a_narrow_constant_lies_in_wider_storage():
    node = const(np.array([-8, 7]), elem=Scalar("i4"), unit=per_tensor(0.5))
    assert node.type == TensorType((2,), Scalar("i4"), per_tensor(0.5))
    assert node.array.dtype == np.int8


def test_refuses_a_blob_of_another_storage():
    with pytest.raises(TypeMismatch, match="i8 is stored as int8, not as float64"):
        Const(blob(np.zeros(2)), I8)


def test_an_inputs_type_is_the_declared_one():
    kind = TensorType((Symbol("n"), 3), F32)
    assert Input(kind, name="x").type == kind


def test_open_lengths_are_named():
    with pytest.raises(ValueError, match="open dimensions: n"):
        input_shape(Input(TensorType((Symbol("n"), 3), F32)))
