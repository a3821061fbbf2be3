import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from qcompile.errors import TypeMismatch
from qcompile.ir.ops.hadamard import Hadamard
from qcompile.ir.ops.source import Input
from qcompile.ir.text import dump
from qcompile.ir.types import F64, I8, I32, U8, Scalar, TensorType, f32
from qcompile.ir.unit import Affine, per_tensor
from qcompile.numerics.hadamard import hadamard
from qcompile.numerics.rotations import signs
from tests.helpers import read


def reals(*shape: int, elem: Scalar = F64) -> Input:
    return Input(TensorType(shape, elem), name="x")


def of_order(n: int) -> NDArray[np.int8]:
    """H of an order that has one."""
    found = hadamard(n)
    assert found is not None
    return found


def matrix(size: int, blocks: int, seed: int = 0):
    """diag(ε)·(I ⊗ H)/√size in float64."""
    turned = signs(size, seed)[:, None] * of_order(size) / np.sqrt(size)
    return np.kron(np.eye(blocks), turned)


@pytest.mark.parametrize(("channels", "size"), [(8, 8), (12, 12), (64, 64), (48, 16), (48, 12)])
@pytest.mark.parametrize("seed", [0, 5])
def test_it_is_a_product_with_an_orthogonal_matrix(channels, size, seed):
    x = np.random.default_rng(1).standard_normal((2, channels, 3))
    found = Hadamard(reals(2, channels, 3), 1, size, seed).evaluate(x)
    wanted = np.einsum("acb,cd->adb", x, matrix(size, channels // size, seed))
    np.testing.assert_allclose(found, wanted, atol=1e-13)


@pytest.mark.parametrize("elem", ["f64", "f32", "f16", "bf16"])
def test_reals_keep_their_format(elem):
    x = reals(3, 8, elem=Scalar(elem))
    node = Hadamard(x, 1, 8)
    assert node.type == x.type
    assert node.evaluate(np.ones((3, 8), x.type.elem.storage)).dtype == x.type.elem.storage


@pytest.mark.parametrize(("elem", "zero"), [(U8, 3), (I8, -5), (Scalar("i16"), -32768)])
def test_integers_are_exact_sums_less_the_zero_point(elem, zero):
    kind = TensorType((4, 48), elem, per_tensor(0.25, zero))
    node = Hadamard(Input(kind, name="x"), 1, 12, seed=2)
    q = np.random.default_rng(0).integers(elem.lo, elem.hi + 1, (4, 48)).astype(elem.storage)
    signed = np.kron(np.eye(4), signs(12, 2)[:, None] * of_order(12)).astype(np.int64)
    np.testing.assert_array_equal(node.evaluate(q), (q.astype(np.int64) - zero) @ signed)
    assert node.type.elem == I32
    assert node.type.unit == per_tensor(0.25 * (1 / np.sqrt(12)))


@given(
    ways=st.sampled_from([(1, 8, 8), (1, 24, 12), (0, 24, 4), (2, 48, 16), (0, 20, 20)]),
    elem=st.sampled_from(["u8", "i8", "i16", "u4"]),
    seed=st.integers(0, 1000),
)
def test_integers_are_exact_along_any_axis(ways, elem, seed):
    axis, length, size = ways
    rng = np.random.default_rng(seed)
    kind, shape = Scalar(elem), tuple(length if a == axis else 3 for a in range(3))
    zero = int(rng.integers(kind.lo, kind.hi + 1))
    q = rng.integers(kind.lo, kind.hi + 1, shape).astype(kind.storage)
    node = Hadamard(
        Input(TensorType(shape, kind, per_tensor(0.5, zero)), name="x"), axis, size, seed
    )
    turn = np.kron(np.eye(length // size), signs(size, seed)[:, None] * of_order(size))
    wanted = np.moveaxis(np.moveaxis(q.astype(np.float64) - zero, axis, -1) @ turn, -1, axis)
    np.testing.assert_array_equal(node.evaluate(q), wanted)


def test_a_sum_stands_for_the_transform_of_the_reals():
    kind = TensorType((4, 64), I8, per_tensor(0.25, 7))
    q = np.random.default_rng(0).integers(-128, 128, (4, 64)).astype(np.int8)
    whole = Hadamard(Input(kind, name="x"), 1, 64)
    assert whole.type.unit is not None
    exact = Hadamard(reals(4, 64), 1, 64).evaluate((q - 7.0) * 0.25)
    np.testing.assert_allclose(whole.evaluate(q) * whole.type.unit.scale[0], exact, atol=1e-12)


def test_text_round_trip():
    text = """
        def turn(x: f32[2, 48]):
            y: f32[2, 48] = hadamard(x, axis=1, size=16)
            z: f32[2, 48] = hadamard(y, axis=1, size=48, seed=3)
            return z
    """
    written = dump(read(text))
    assert "hadamard(y, axis=1, size=48, seed=3)" in written
    assert dump(read(written)) == written


@pytest.mark.parametrize(
    ("axis", "size", "complaint"),
    [
        (2, 8, "axis 2 of a tensor of rank 2"),
        (1, 16, "24 channels are no blocks of 16"),
        (1, 0, "24 channels are no blocks of 0"),
        (1, 6, "no Hadamard matrix of order 6 is known"),
    ],
)
def test_what_is_no_transform_is_refused(axis, size, complaint):
    with pytest.raises(TypeMismatch, match=complaint):
        Hadamard(Input(f32(3, 24), name="x"), axis, size)


def test_channels_of_many_scales_are_refused():
    kind = TensorType((3, 2), I8, Affine((0.1, 0.2), axis=1))
    with pytest.raises(TypeMismatch, match="wants one scale"):
        Hadamard(Input(kind, name="x"), 1, 2)
