"""What finishing takes, estimated from expressions and counted in machine code for a T4."""

from __future__ import annotations

from pathlib import Path

import pytest

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops import binary as b
from qcompile.ir.ops.integer import requantize
from qcompile.ir.ops.linear import Conv
from qcompile.ir.types import I32, U8, Scalar
from qcompile.ir.unit import per_tensor
from qcompile.targets.cuda.build import compile_kernels
from qcompile.targets.cuda.contraction import Contraction
from qcompile.targets.cuda.devices import T4
from qcompile.targets.cuda.disassembly import behind_products, disassembler, sass, sass_counts
from qcompile.targets.cuda.emit import device_headers
from qcompile.targets.cuda.finishing import instructions
from qcompile.targets.cuda.lowering import on
from qcompile.targets.cuda.steps import kernel_of
from qcompile.targets.loops import expr as e
from qcompile.targets.loops.draft import Step_
from qcompile.targets.loops.select import lower
from tests.targets.cuda.value_cases import I4, U4
from tests.targets.tvm.checks import biased, given, graph_of, narrowed, weights

PROGRAM = disassembler() or Path()
DISASSEMBLED = pytest.mark.skipif(
    disassembler() is None, reason="nvidia-cuda-nvdisasm is not installed"
)
SUM = e.Acc(-(1 << 17), 1 << 17, "i32")
SIZE, CHANNELS = 64, 256


def convolved(elem: Scalar) -> Node:
    x = given(1, CHANNELS, SIZE, SIZE, elem=elem, zero=0)
    one = Conv(x, weights(CHANNELS, CHANNELS, 1, 1, elem=I4))
    return one.replace(bias=biased(one, 1))


def alone(elem: Scalar) -> Graph:
    return graph_of(narrowed(convolved(elem), elem=elem, zero=0))


def added(elem: Scalar) -> Graph:
    """The sum and a skip of 8 bits, in 8 bits."""
    fine, limit = per_tensor(0.03 / (1 << 10)), 1 << 30
    skip = given(1, CHANNELS, SIZE, SIZE, elem=U8, zero=0).replace(name="skip")
    left = requantize(convolved(elem), I32, fine, lo=-limit, hi=limit)
    right = requantize(skip, I32, fine, lo=-limit, hi=limit)
    return graph_of(requantize(b.Add(left, right), U8, per_tensor(0.5, 0), lo=0, hi=255))


def contraction(graph: Graph) -> Step_:
    steps = lower(on(T4, graph, int4=True)).steps
    return next(step for step in steps if isinstance(step.plan, Contraction))


def estimated(step: Step_) -> float:
    nest = step.nest
    return instructions((nest.finish, nest.out.elem), *((a.result, a.out.elem) for a in nest.also))


def counted(step: Step_) -> float:
    """Instructions of one element in a thread's machine code behind the products."""
    assert isinstance(step.plan, Contraction)
    source, tile = kernel_of(step, T4).source, step.plan.tile
    built = compile_kernels(
        {source.name: source.text}, T4, headers=device_headers(), cache=None, threads=1
    )
    text = behind_products(sass(built[source.name].cubin, PROGRAM))
    counts = sass_counts(text)
    return (sum(counts.values()) - counts["NOP"]) / (tile.wm * tile.wn / 32)


def test_a_rescale_of_a_sum_is_a_wide_product_a_shift_and_half_an_instruction_to_pack():
    scaled = e.Rescale(0, 15, "i32", SUM, e.load(0, "i32"), 36, 0)
    assert instructions((scaled, "u4")) == 1.0 + 1 + 2 + 0.5


def test_what_two_results_share_counts_once():
    scaled = e.Rescale(-(1 << 20), 1 << 20, "i32", SUM, e.imm(1 << 30), 34, 0)
    once, twice = ((scaled, "i32"),), ((scaled, "i32"), (scaled, "i32"))
    assert instructions(*once) == instructions(*twice)


def test_a_high_word_takes_one_instruction():
    high = e.Rescale(-(1 << 10), 1 << 10, "i32", SUM, e.imm(100), 15, 0)
    assert instructions((high, "i32")) == 1.0 + 1 + 1


def test_a_shift_and_an_addition_are_one_instruction():
    word = e.Rescale(0, 300, "i32", e.load(1, "u8", lo=0, hi=255), e.imm(300), 8, 0)
    assert instructions((e.add(SUM, word), "i32")) == 1.0 + 1 + 1 + 2


@DISASSEMBLED
@pytest.mark.parametrize("make", [alone, added])
@pytest.mark.parametrize("elem", [U4, U8], ids=str)
def test_the_estimate_is_what_a_t4_runs(make, elem):
    step = contraction(make(elem))
    assert estimated(step) == pytest.approx(counted(step), rel=0.15)
