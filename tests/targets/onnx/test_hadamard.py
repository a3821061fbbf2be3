import numpy as np
import pytest

from qcompile.ir.ops.hadamard import Hadamard
from qcompile.ir.ops.integer import requantize
from qcompile.ir.ops.linear import Conv
from qcompile.ir.types import I8
from qcompile.ir.unit import per_tensor
from tests.targets.onnx.checks import ints, near, reals, same_bits, weights

SHAPES = [
    ((3, 8), 1, 8), ((5, 12), 1, 12), ((2, 64, 5, 3), 1, 64), ((1, 48, 4, 4), 1, 16),
    ((2, 7, 48), 2, 48), ((2, 1024), 1, 1024), ((6, 40, 5), 0, 2), ((3, 192), 1, 96),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "axis", "size"), SHAPES)
@pytest.mark.parametrize(("elem", "zero"), [("u8", 3), ("i8", -5), ("i16", -32768)])
def test_a_transform_of_integers(shape, axis, size, elem, zero):
    x = ints(elem, *shape, zero=zero)
    same_bits(Hadamard(x, axis, size), Hadamard(x, axis, size, seed=4))


def test_a_transform_before_a_convolution():
    rng = np.random.default_rng(0)
    turned = Hadamard(ints("u8", 1, 16, 6, 6, zero=7), 1, 16, seed=1)
    narrow = requantize(turned, I8, per_tensor(0.4, -3))
    same_bits(Conv(narrow, weights(rng, 8, 16, 3, 3, axis=0), pads=(1, 1, 1, 1)))


@pytest.mark.parametrize(("shape", "axis", "size"), SHAPES)
def test_a_transform_of_reals(shape, axis, size):
    x = reals(*shape)
    near(Hadamard(x, axis, size), Hadamard(x, axis, size, seed=4))
