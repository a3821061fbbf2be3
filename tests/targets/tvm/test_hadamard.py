import numpy as np
import pytest

from qcompile.ir.ops.binary import Add
from qcompile.ir.ops.hadamard import Hadamard
from qcompile.ir.ops.integer import requantize
from qcompile.ir.ops.linear import Conv, MatMul
from qcompile.ir.ops.pointwise import Relu
from qcompile.ir.ops.quant import Dequantize, Quantize
from qcompile.ir.ops.source import Input
from qcompile.ir.types import I8, I32, Scalar, f32
from qcompile.ir.unit import per_tensor
from qcompile.targets.tvm.target import ARM64_INT8
from tests.targets.tvm.checks import (
    drawn,
    every_isa,
    given,
    graph_of,
    narrowed,
    nearly,
    same_bits,
    weights,
)
from tests.targets.tvm.test_emulated import needs_tools

I16 = Scalar("i16")
SHAPES = [
    ((3, 8), 1, 8), ((5, 12), 1, 12), ((2, 64, 5, 3), 1, 64), ((1, 48, 4, 4), 1, 16),
    ((2, 7, 48), 2, 48), ((2, 96, 3), 1, 32), ((2, 1024), 1, 1024), ((6, 40, 5), 0, 2),
    ((3, 384), 1, 192), ((2, 40, 3, 3), 1, 20),
    ((2, 344), 1, 344), ((2, 448), 1, 448),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "axis", "size"), SHAPES)
def test_a_transform(tmp_path, shape, axis, size):
    x = given(*shape)
    wide = given(*shape, elem=I16, zero=-300).replace(name="w")
    one, two = Hadamard(x, axis, size), Hadamard(wide, axis, size, seed=3)
    same_bits(graph_of(one, narrowed(two), two), tmp_path)


@every_isa
def test_a_transform_before_a_padded_convolution(tmp_path, isa):
    x = given(1, 32, 6, 7, elem=I8)
    turned = narrowed(Hadamard(x, 1, 32, seed=1), zero=9)
    same_bits(graph_of(narrowed(Conv(turned, weights(24, 32, 3, 3), pads=(1,) * 4))), tmp_path, isa)


def test_a_transform_of_rows_before_a_product(tmp_path):
    turned = narrowed(Hadamard(given(2, 5, 48), 2, 16))
    same_bits(graph_of(narrowed(MatMul(turned, weights(48, 20, axis=1)))), tmp_path)


@needs_tools
def test_the_arm_library(tmp_path):
    x = Quantize(Input(f32(1, 48, 5, 6), name="x"), I16, per_tensor(1e-4, -7))
    turned = narrowed(Hadamard(narrowed(Hadamard(x, 1, 16, seed=1), zero=9), 1, 48))
    y = Dequantize(narrowed(Conv(turned, weights(24, 48, 3, 3), pads=(1,) * 4)))
    graph = graph_of(y)
    inputs = drawn(graph)
    emitted = ARM64_INT8.emit(graph, tmp_path, threads=1)
    runtime = ARM64_INT8.open(tmp_path, emitted.details, threads=1)
    np.testing.assert_array_equal(runtime.run({"x": inputs[0]})["y0"], graph.run(*inputs)[0])


@pytest.mark.parametrize("size", [8, 64])
def test_a_sum_with_another_value_behind_it(tmp_path, size):
    unit = per_tensor(1e-4)
    turned = requantize(Hadamard(given(2, 64, 3, 5), 1, size), I32, unit, lo=-(1 << 30), hi=1 << 30)
    other = requantize(given(2, 64, 3, 5).replace(name="o"), I32, unit, lo=-(1 << 30), hi=1 << 30)
    same_bits(graph_of(narrowed(Relu(Add(turned, other)))), tmp_path)


@pytest.mark.parametrize(("shape", "axis", "size"), [((3, 48), 1, 16), ((2, 12, 5, 5), 1, 12)])
def test_reals(tmp_path, shape, axis, size):
    x = Input(f32(*shape), name="x")
    nearly(graph_of(Hadamard(x, axis, size, seed=2), Relu(Hadamard(x, axis, size))), tmp_path)
