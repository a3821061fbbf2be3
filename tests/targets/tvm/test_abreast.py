"""Neighbours that become one number, a register at a time."""

from pathlib import Path

import pytest

from qcompile.ir.ops.pointwise import Abs, Clip, Exp, Neg
from qcompile.ir.ops.reduce import ReduceMax, ReduceMean, ReduceMin, ReduceProd, ReduceSum
from qcompile.ir.ops.source import Input
from qcompile.ir.types import F32, I32, Scalar, TensorType
from qcompile.targets.loops import expr as e
from qcompile.targets.loops.nest import Nest, View
from qcompile.targets.tvm.isa import AVX2, AVX512_VNNI, Isa
from qcompile.targets.tvm.schedule import schedule
from tests.targets.tvm.checks import every_isa, given, graph_of, nearly, same_bits

LENGTHS = (16, 31, 64, 79, 147)


@every_isa
def test_integers_are_the_interpreters(isa: Isa, tmp_path: Path):
    rows = [given(3, length) for length in LENGTHS]
    kinds = (ReduceMax, ReduceMin, ReduceSum)
    same_bits(graph_of(*(kind(x, (1,)) for x in rows for kind in kinds)), tmp_path, isa)


@every_isa
def test_reals_are_near(isa: Isa, tmp_path: Path):
    rows = [Input(TensorType((2, 3, length), F32), name=f"x{length}") for length in LENGTHS]
    kinds = (ReduceMax, ReduceMean, ReduceProd)
    over = [kind(x, axes) for x in rows for kind in kinds for axes in ((2,), (0, 2))]
    nearly(graph_of(*over), tmp_path, isa)


def row_sums(length: int, *, elem: Scalar = F32, step: int = 1) -> Nest:
    """Sums of five rows whose elements lie `step` apart."""
    x = View(str(elem), (length * step, 0, step), 0)
    body = e.load(0, str(elem))
    start = e.imm(0, str(elem))
    y = View(str(elem), (1, 0, 0), 0)
    return Nest((5, 1), (length,), (x,), y, body, "add", start, e.Acc(0, 0, str(elem)), 1)


@pytest.mark.parametrize(("isa", "width"), [(AVX512_VNNI, 16), (AVX2, 8)], ids=["512", "256"])
def test_neighbours_fill_a_register(isa: Isa, width: int):
    assert schedule(row_sums(40), isa).abreast == width
    assert schedule(row_sums(40, elem=I32), isa).abreast == width


def test_a_short_row_or_one_that_is_spread_out_is_taken_one_by_one():
    assert schedule(row_sums(15), AVX512_VNNI).abreast == 1
    assert schedule(row_sums(40, step=3), AVX512_VNNI).abreast == 1


@every_isa
def test_a_scale_of_each_row_is_the_interpreters(isa: Isa, tmp_path: Path):
    rows = [Input(TensorType((5, length), F32), name=f"x{length}") for length in LENGTHS]
    peaks = [Clip(ReduceMax(Abs(x), (1,)), lo=2.0**-100) for x in rows]
    columns = [ReduceMax(Abs(x), (0,), keepdims=False) for x in rows]
    same_bits(graph_of(*peaks, *columns), tmp_path, isa)


def test_functions_are_applied_in_their_order(tmp_path: Path):
    x = Input(TensorType((5, 40), F32), name="x")
    nearly(graph_of(ReduceSum(Abs(Neg(Exp(x))), (1,)), ReduceMax(Neg(Abs(x)), (1,))), tmp_path)
