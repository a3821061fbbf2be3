"""Products of two values, bit for bit."""

from pathlib import Path

import pytest

from qcompile.ir.node import Node
from qcompile.ir.ops.integer import requantize
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.shape import Transpose
from qcompile.ir.ops.source import Input
from qcompile.ir.types import I8, U8, Scalar, TensorType
from qcompile.ir.unit import per_tensor
from qcompile.targets.tvm.isa import AVX2, AVX512_VNNI, NEON_DOT, PORTABLE
from qcompile.targets.tvm.values import takes_values
from tests.targets.tvm.checks import BEST, given, graph_of, narrowed, same_bits


def value(*shape: int, elem: Scalar = I8, zero: int = 0, name: str = "x") -> Node:
    """A value that a step of the program writes."""
    x = Input(TensorType(shape, elem, per_tensor(0.02, zero)), name=name)
    return requantize(x, elem, per_tensor(0.023, zero), lo=elem.lo, hi=elem.hi)


SHAPES = [
    ((2, 5, 32), (2, 32, 16)),
    ((3, 4, 40), (3, 40, 35)),
    ((2, 7, 13), (2, 13, 21)),
    ((2, 6, 9), (1, 9, 18)),
    ((2, 2, 9, 6), (2, 1, 6, 40)),
    ((8, 10), (10, 7)),
]


@pytest.mark.parametrize(("left", "right"), SHAPES, ids=str)
@pytest.mark.parametrize("turned", [False, True], ids=["rows", "columns"])
def test_shapes(left: tuple[int, ...], right: tuple[int, ...], turned: bool, tmp_path: Path):
    *batch, depth, columns = right
    last = len(right) - 1
    axes = (*range(last - 1), last, last - 1)
    b = value(*batch, columns, depth, name="b") if turned else value(*right, name="b")
    product = MatMul(value(*left), Transpose(b, axes) if turned else b)
    assert takes_values(product, BEST) or BEST in (AVX2, PORTABLE)
    same_bits(graph_of(product, narrowed(product)), tmp_path)


@pytest.mark.parametrize("left", [(I8, 0), (I8, -7), (U8, 128), (U8, 5)], ids=str)
@pytest.mark.parametrize("right", [(I8, 0), (I8, 9), (U8, 128), (U8, 30)], ids=str)
def test_signs_and_zero_points(left: tuple[Scalar, int], right: tuple[Scalar, int], tmp_path: Path):
    a = value(2, 5, 22, elem=left[0], zero=left[1])
    b = value(2, 22, 20, elem=right[0], zero=right[1], name="b")
    same_bits(graph_of(narrowed(MatMul(a, b))), tmp_path)


def test_operands_of_the_callers(tmp_path: Path):
    a = given(4, 18)
    b = Input(TensorType((18, 16), I8, per_tensor(0.1)), name="b")
    same_bits(graph_of(MatMul(a, b)), tmp_path)


def test_one_row_is_not_worth_the_packing():
    b = value(2, 32, 16, name="b")
    assert not takes_values(MatMul(value(2, 1, 32), b), AVX512_VNNI)
    assert takes_values(MatMul(value(2, 4, 32), b), AVX512_VNNI)
    assert takes_values(MatMul(value(2, 4, 32), b), NEON_DOT)


def test_processors_without_dots_of_four_do_not_pack():
    product = MatMul(value(2, 8, 32), value(2, 32, 16, name="b"))
    assert not takes_values(product, AVX2)
    assert not takes_values(product, PORTABLE)
