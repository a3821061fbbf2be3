"""Moving values about: numpy's results, and units that move with their axis."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qcompile.errors import TypeMismatch
from qcompile.ir.dims import Symbol
from qcompile.ir.node import Node
from qcompile.ir.ops.shape import Concat, Expand, Gather, Pad, Reshape, ShapeOf, Slice, Transpose
from qcompile.ir.ops.source import Input, const
from qcompile.ir.types import F32, I8, U8, TensorType
from qcompile.ir.unit import Affine, per_tensor
from tests.helpers import integers, reals, value

X = reals(2, 3, 4)
x = value(X)
CHANNELS = integers(2, 3, elem=I8, unit=Affine((1.0, 2.0, 4.0), (0, 1, 2), axis=1))

MOVES: list[tuple[Node, NDArray[Any]]] = [
    (Reshape(X, (6, 4)), x.reshape(6, 4)),
    (Transpose(X, (2, 0, 1)), x.transpose(2, 0, 1)),
    (Concat((X, reals(2, 1, 4, seed=1)), 1), np.concatenate([x, value(reals(2, 1, 4, seed=1))], 1)),
    (Slice(X, (1, 2), (0, 1), (2, 4), (1, 2)), x[:, 0:2, 1:4:2]),
    (Slice(X, (2,), (3,), (-1,), (-2,)), x[:, :, 3::-2]),
    (Slice(X, (2,), (3,), (0,), (-1,)), x[:, :, 3:0:-1]),
    (Gather(X, const(np.array([[2, 0], [-1, 1]])), 1), x[:, [[2, 0], [-1, 1]]]),
    (Gather(X, const(1), 0), x[1]),
    (Pad(X, (0, 1, 0, 0, 0, 2), value=7.0), np.pad(x, ((0, 0), (1, 0), (0, 2)), constant_values=7)),
    (Pad(X, (0, -1, 0, 0, 1, 0)), np.pad(x, ((0, 0), (0, 1), (0, 0)))[:, 1:]),
    (Pad(X, (0, 0, 2, 0, 0, 1), mode="reflect"), np.pad(x, ((0, 0), (0, 0), (2, 1)), "reflect")),
    (Expand(reals(3, 1), (2, 3, 4)), np.broadcast_to(value(reals(3, 1)), (2, 3, 4))),
    (ShapeOf(X), np.array([2, 3, 4])),
]


@pytest.mark.parametrize(("node", "want"), MOVES)
def test_is_numpys(node: Node, want: NDArray[Any]):
    assert node.type.shape == want.shape
    np.testing.assert_array_equal(value(node), want)


def test_transpose_moves_the_units_axis():
    assert Transpose(CHANNELS, (1, 0)).type.unit == Affine((1.0, 2.0, 4.0), (0, 1, 2), axis=0)


def test_slice_cuts_the_units_scales():
    assert Slice(CHANNELS, (1,), (2,), (-1,), (-2,)).type.unit == Affine((4.0, 1.0), (2, 0), axis=1)


def test_concat_keeps_different_units_apart():
    a = integers(1, 2, elem=U8, unit=per_tensor(0.5, 3))
    b = integers(1, 1, elem=U8, unit=per_tensor(2.0))
    assert Concat((a, b), 1).type.unit == Affine((0.5, 0.5, 2.0), (3, 3, 0), axis=1)


def test_pad_fills_with_the_integer_that_stands_for_the_value():
    q = integers(1, 2, elem=U8, unit=per_tensor(0.5, 7))
    assert value(Pad(q, (0, 1, 0, 0), value=1.0))[0, 0] == 9


def test_reshape_keeps_one_open_length():
    open_x = Input(TensorType((Symbol("n"), 4), F32))
    node = Reshape(open_x, (2, Symbol("m")))
    assert node.evaluate(np.zeros((3, 4), np.float32)).shape == (2, 6)


REFUSED: list[tuple[Callable[[], Any], str]] = [
    (lambda: Reshape(X, (5, 5)), "24 elements into"),
    (lambda: Reshape(CHANNELS, (6,)), "wants one scale"),
    (lambda: Transpose(X, (0, 1)), r"perm \(0, 1\) of rank 3"),
    (lambda: Concat((X, reals(2, 3)), 0), "concat"),
    (lambda: Concat((X, reals(2, 3, 5)), 1), r"joins f32\[2, 3, 4\] to f32\[2, 3, 5\]"),
    (
        lambda: Concat((integers(1, elem=I8), integers(1, elem=I8, unit=per_tensor(1.0))), 0),
        "joins quantized to unquantized",
    ),
    (lambda: Gather(X, reals(2), 0), "indices are f32"),
    (lambda: Pad(X, (0, 0, -5, 0, 0, 0)), "cuts all away"),
    (lambda: Expand(X, (2, 2, 4)), "lengths 3 and 2 do not broadcast|lengths 2 and 3"),
]


@pytest.mark.parametrize(("build", "complaint"), REFUSED)
def test_refuses(build: Callable[[], Any], complaint: str):
    with pytest.raises(TypeMismatch, match=complaint):
        build()
