"""Operations of several passes."""

from pathlib import Path

import numpy as np
import pytest

from qcompile.ir.ops.integer import softmax_integer
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.norm import InstanceNorm, LayerNorm, LocalResponseNorm, RmsNorm
from qcompile.ir.ops.reduce import (
    LogSoftmax,
    ReduceL2,
    ReduceLogSumExp,
    ReduceMax,
    ReduceMean,
    ReduceProd,
    ReduceSum,
    Softmax,
)  # fmt: skip
from qcompile.ir.ops.source import Const, Input, const
from qcompile.ir.types import I32, TensorType, f32
from qcompile.ir.unit import per_tensor
from qcompile.targets.tvm.isa import Isa
from tests.targets.tvm.checks import every_isa, given, graph_of, narrowed, nearly, same_bits


def reals(*shape: int, seed: int = 0) -> Const:
    """A float constant."""
    return const(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


@every_isa
@pytest.mark.parametrize(("shape", "axis"), [((3, 40), 1), ((2, 5, 17), 1), ((1, 10, 1, 1), 1)])
def test_softmax_in_integers(shape: tuple[int, ...], axis: int, isa: Isa, tmp_path: Path):
    x = given(*shape, scale=0.05)
    wide = Input(TensorType(shape, I32, per_tensor(1e-5)), name="wide")
    nodes = [softmax_integer(x, axis), softmax_integer(wide, axis)]
    same_bits(graph_of(*nodes, narrowed(nodes[0])), tmp_path, isa)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_softmax_of_reals(axis: int, tmp_path: Path):
    x = Input(f32(3, 20, 18), name="x")
    nearly(graph_of(Softmax(x, axis), LogSoftmax(x, axis)), tmp_path)


def test_norms(tmp_path: Path):
    x = Input(f32(2, 6, 5, 18), name="x")
    layer = LayerNorm(x, reals(18), reals(18, seed=1), axis=3)
    bare = LayerNorm(x, reals(5, 18), axis=2)
    instance = InstanceNorm(x, reals(6), reals(6, seed=1))
    local = LocalResponseNorm(x, 5, alpha=0.1, beta=0.75, bias=2.0)
    nearly(graph_of(layer, bare, instance, local), tmp_path, tolerance=1e-3)


def test_norms_that_lack_parameters(tmp_path: Path):
    x = Input(f32(2, 6, 5, 18), name="x")
    shifted, plain = LayerNorm(x, None, reals(18), axis=3), LayerNorm(x, axis=2)
    rms = [RmsNorm(x, reals(18), 3), RmsNorm(x, reals(5, 18), 2), RmsNorm(x, None, 3, eps=1.0)]
    nearly(graph_of(shifted, plain, *rms), tmp_path, tolerance=1e-3)


@pytest.mark.parametrize(("axes", "keepdims"), [((1,), True), ((2,), False), ((0, 2), True)])
def test_float_reductions(axes: tuple[int, ...], keepdims: bool, tmp_path: Path):
    x = Input(f32(3, 9, 20), name="x")
    kinds = (ReduceSum, ReduceMean, ReduceMax, ReduceProd, ReduceL2, ReduceLogSumExp)
    nearly(graph_of(*(kind(x, axes, keepdims) for kind in kinds)), tmp_path, tolerance=1e-3)


def test_float_contractions(tmp_path: Path):
    x = Input(f32(1, 6, 9, 9), name="x")
    plain = Conv(x, reals(20, 6, 3, 3), reals(20), pads=(1, 1, 1, 1), stride=(2, 2))
    grouped = Conv(x, reals(12, 2, 3, 3), groups=3)
    depthwise = Conv(x, reals(6, 1, 3, 3), groups=6, pads=(1, 1, 1, 1))
    transposed = ConvTranspose(x, reals(6, 5, 3, 3), stride=(2, 2))
    nearly(graph_of(plain, grouped, depthwise, transposed), tmp_path, tolerance=1e-3)


def test_float_products(tmp_path: Path):
    a, b = Input(f32(2, 5, 30), name="a"), Input(f32(2, 30, 7), name="b")
    fixed = MatMul(a, reals(30, 21), reals(21, seed=3))
    nearly(graph_of(fixed, MatMul(a, b)), tmp_path, tolerance=1e-3)
