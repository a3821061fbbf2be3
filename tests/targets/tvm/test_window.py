"""Pools and reductions, bit for bit."""

from pathlib import Path
from typing import Any

import pytest

from qcompile.ir.ops.linear import Conv
from qcompile.ir.ops.pool import AveragePool, MaxPool
from qcompile.ir.ops.quant import Dequantize, Quantize
from qcompile.ir.ops.reduce import (
    ArgMax,
    ArgMin,
    ReduceMax,
    ReduceMean,
    ReduceMin,
    ReduceSum,
)  # fmt: skip
from qcompile.ir.ops.source import Input
from qcompile.ir.types import I8, U8, f32
from qcompile.ir.unit import per_tensor
from qcompile.targets.tvm.isa import Isa
from tests.targets.tvm.checks import (
    every_isa,
    given,
    graph_of,
    narrowed,
    nearly,
    same_bits,
    weights,
)  # fmt: skip

WINDOWS: dict[str, Any] = {
    "2x2": ((1, 16, 8, 8), (2, 2), (2, 2), (0, 0, 0, 0), (1, 1)),
    "3x3 padded": ((1, 20, 9, 7), (3, 3), (2, 2), (1, 1, 1, 1), (1, 1)),
    "dilated": ((1, 8, 9, 9), (2, 2), (1, 1), (1, 1, 1, 1), (2, 2)),
    "many channels": ((1, 128, 6, 6), (3, 3), (1, 1), (1, 1, 1, 1), (1, 1)),
    "few channels": ((2, 3, 6, 6), (3, 2), (1, 2), (1, 0, 0, 1), (1, 1)),
    "1-D": ((1, 10, 20), (3,), (2,), (1, 1), (1,)),
}


@every_isa
@pytest.mark.parametrize("case", WINDOWS)
def test_max_pool(case: str, isa: Isa, tmp_path: Path):
    shape, *window = WINDOWS[case]
    same_bits(graph_of(MaxPool(given(*shape), *window)), tmp_path, isa)


def test_max_pool_of_signed_bytes(tmp_path: Path):
    shape, *window = WINDOWS["3x3 padded"]
    same_bits(graph_of(MaxPool(given(*shape, elem=I8), *window)), tmp_path)


def test_max_pool_that_overhangs(tmp_path: Path):
    node = MaxPool(given(1, 16, 7, 7), (3, 3), (2, 2), (0, 0, 0, 0), (1, 1), ceil=True)
    same_bits(graph_of(node), tmp_path)


def test_a_value_that_a_pool_and_a_convolution_pad_differently(tmp_path: Path):
    x = narrowed(Conv(given(1, 8, 6, 6), weights(8, 8, 1, 1)))
    pooled = MaxPool(x, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1))
    convolved = Conv(x, weights(8, 8, 3, 3), pads=(1, 1, 1, 1))
    same_bits(graph_of(pooled, narrowed(convolved)), tmp_path)


@every_isa
@pytest.mark.parametrize("count_border", [False, True])
@pytest.mark.parametrize("case", ["3x3 padded", "few channels", "1-D"])
def test_average_pool(case: str, count_border: bool, isa: Isa, tmp_path: Path):
    shape, *window = WINDOWS[case]
    node = AveragePool(given(*shape), *window, count_border=count_border)
    same_bits(graph_of(narrowed(node)), tmp_path, isa)


@pytest.mark.parametrize("kind", [ReduceSum, ReduceMean, ReduceMax, ReduceMin])
@pytest.mark.parametrize(
    ("axes", "keepdims"), [((2, 3), True), ((1,), False), ((3,), True), ((0, 1, 2, 3), False)]
)
def test_reduction(kind: type[ReduceSum], axes: tuple[int, ...], keepdims: bool, tmp_path: Path):
    node = kind(given(2, 20, 5, 6), axes, keepdims)
    narrow = node if node.type.elem == U8 else narrowed(node)
    same_bits(graph_of(narrow), tmp_path)


def test_global_average_behind_a_convolution(tmp_path: Path):
    x = narrowed(Conv(given(1, 16, 6, 6), weights(40, 16, 1, 1)))
    same_bits(graph_of(narrowed(ReduceMean(x, (2, 3)))), tmp_path)


@pytest.mark.parametrize("kind", [ArgMax, ArgMin])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(("axis", "keepdims"), [(1, False), (2, True)])
def test_arg(kind: type[ArgMax], axis: int, keepdims: bool, last: bool, tmp_path: Path):
    same_bits(graph_of(kind(given(2, 30, 17), axis, keepdims, last)), tmp_path)


def test_pools_of_reals(tmp_path: Path):
    x = Input(f32(1, 5, 8, 8), name="x")
    window = ((3, 3), (2, 2), (1, 1, 1, 1), (1, 1))
    nearly(graph_of(MaxPool(x, *window), AveragePool(x, *window)), tmp_path)


def test_quantize_pool_dequantize(tmp_path: Path):
    x = Quantize(Input(f32(1, 3, 20, 20), name="x"), U8, per_tensor(0.03, 120))
    pooled = MaxPool(x, (2, 2), (2, 2), (0, 0, 0, 0), (1, 1))
    same_bits(graph_of(Dequantize(pooled)), tmp_path)
