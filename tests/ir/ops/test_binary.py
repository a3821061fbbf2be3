"""Two operands: numpy's numbers; units must agree, or multiply."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qcompile.errors import TypeMismatch
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import (
    Add,
    And,
    Div,
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Maximum,
    Minimum,
    Mod,
    Mul,
    Or,
    Pow,
    Prelu,
    Sub,
    Where,
    Xor,
)  # fmt: skip
from qcompile.ir.ops.pointwise import Abs
from qcompile.ir.ops.source import const
from qcompile.ir.types import BOOL, I8, I32, U8, TensorType
from qcompile.ir.unit import Affine, per_tensor
from tests.helpers import integers, reals, value

A, B = reals(2, 3, 4), reals(3, 1, seed=1)
P, Q = integers(9, elem=BOOL), integers(9, elem=BOOL, seed=1)
a, b, p, q = (value(n) for n in (A, B, P, Q))
WHOLE, PARTS = const(np.array([7, -7, 7, -7])), const(np.array([2, 2, -2, -2]))

RESULTS: list[tuple[Node, NDArray[Any]]] = [
    (Add(A, B), a + b),
    (Sub(A, B), a - b),
    (Mul(A, B), a * b),
    (Div(A, B), a / b),
    (Pow(Abs(A), B), np.abs(a) ** b),
    (Minimum(A, B), np.minimum(a, b)),
    (Maximum(A, B), np.maximum(a, b)),
    (Mod(A, B), np.fmod(a, b)),
    (Div(WHOLE, PARTS), np.array([3, -3, -3, 3])),
    (Mod(WHOLE, PARTS), np.array([1, 1, -1, -1])),
    (Equal(A, A), a == a),
    (Less(A, B), a < b),
    (LessOrEqual(A, B), a <= b),
    (Greater(A, B), a > b),
    (GreaterOrEqual(A, B), a >= b),
    (And(P, Q), p & q),
    (Or(P, Q), p | q),
    (Xor(P, Q), p ^ q),
    (Prelu(A, B), np.where(a >= 0, a, a * b)),
    (Where(Less(A, B), A, B), np.minimum(a, b)),
]


@pytest.mark.parametrize(("node", "want"), RESULTS)
def test_is_numpys(node: Node, want: NDArray[Any]):
    assert node.type == TensorType(want.shape, node.type.elem)
    np.testing.assert_array_equal(value(node), want)


def test_equal_symmetric_units_add():
    x = integers(4, elem=I32, unit=per_tensor(0.5))
    assert Add(x, x).type.unit == per_tensor(0.5)


def test_the_product_counts_in_the_product_of_the_units():
    x = integers(4, elem=U8, unit=per_tensor(0.5, 3))
    y = integers(4, elem=I8, unit=per_tensor(0.25, -1), seed=1)
    node = Mul(x, y)
    assert node.type == TensorType((4,), I32, per_tensor(0.125))
    np.testing.assert_array_equal(
        value(node), (value(x).astype(int) - 3) * (value(y).astype(int) + 1)
    )


U = integers(4, elem=I8, unit=per_tensor(0.02, -3))
V = integers(4, elem=I8, unit=per_tensor(0.05))
CHANNEL = integers(2, 1, elem=I8, unit=Affine((1.0, 2.0), axis=0))
REFUSED: list[tuple[Callable[[], Any], str]] = [
    (
        lambda: Add(U, V, name="add3"),
        r"add add3\(i8\[4\] ~ 0\.02@-3, i8\[4\] ~ 0\.05@0\): "
        r"adds 0\.02@-3 to 0\.05@0: rescale one first",
    ),
    (lambda: Add(U, U), "wants zero point 0"),
    (lambda: Add(U, integers(4, elem=I8)), r"adds 0\.02@-3 to None"),
    (lambda: Add(reals(2), const(np.zeros(2))), "wants one element type, got f32 and f64"),
    (lambda: Mul(U, reals(4)), "multiplies a quantized by an unquantized"),
    (lambda: Div(U, U), "is not defined on quantized values"),
    (lambda: Less(U, V), "compares"),
    (lambda: Where(reals(4), U, U), "condition must be bool"),
    (lambda: Prelu(reals(3), reals(2, 3)), "slope does not broadcast"),
    (lambda: Add(reals(2, 3), reals(2)), "lengths 3 and 2 do not broadcast"),
]


@pytest.mark.parametrize(("build", "complaint"), REFUSED)
def test_refuses(build: Callable[[], Any], complaint: str):
    with pytest.raises(TypeMismatch, match=complaint):
        build()


def test_add_refuses_to_broadcast_scales_per_channel():
    wide = integers(2, 3, elem=I8, unit=CHANNEL.unit)
    with pytest.raises(TypeMismatch, match="broadcasts a per-channel unit"):
        Add(CHANNEL, wide)
