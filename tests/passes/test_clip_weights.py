"""Scales of narrow weights that look at what the weights are multiplied with."""

import numpy as np
import pytest

from qcompile.calibrate.collect import collect
from qcompile.ir.graph import Graph
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.quant import FakeQuant
from qcompile.ir.ops.source import Input, const
from qcompile.ir.types import F32, Array, TensorType
from qcompile.ir.widths import Widths, parse_widths
from qcompile.passes.calibrate import Calibrate, observed
from qcompile.passes.choose_widths import WidthRule
from qcompile.passes.clip_weights import ClipWeights
from qcompile.passes.recipe import Recipe
from qcompile.stages import specify

WIDTH, ROWS = 64, 48


def samples(count: int = 8) -> list[tuple[Array, ...]]:
    """Inputs whose channels are of very different sizes."""
    rng = np.random.default_rng(1)
    sizes = np.exp(np.random.default_rng(2).normal(size=WIDTH) * 2)
    return [((rng.normal(size=(16, WIDTH)) * sizes).astype(np.float32),) for _ in range(count)]


def calibrated(widths: Widths) -> Graph:
    """One product, heavy tails in its weight."""
    weight = np.random.default_rng(0).standard_t(3, (WIDTH, ROWS)).astype(np.float32)
    x = Input(TensorType((16, WIDTH), F32), name="x")
    graph = Graph("net", (x,), (("y", MatMul(x, const(weight, name="w"), name="y")),))
    own = Recipe(widths=WidthRule(default=widths, ends=widths))
    marked = specify(graph, own)
    return Calibrate(collect(marked, observed(marked), samples())).run(marked)


def rounded(graph: Graph) -> tuple[Array, Array]:
    """The weight and what is left of it."""
    (mark,) = (n for n in graph.nodes if isinstance(n, FakeQuant) and n.x.type.shape[1] == ROWS)
    weight = mark.x.evaluate()
    return weight, mark.evaluate(weight)


def lost(graph: Graph) -> float:
    """What rounding the weight does to outputs on samples that the pass did not see."""
    weight, kept = rounded(graph)
    found = [np.square(x @ (kept - weight)).sum() for (x,) in samples(16)[8:]]
    return float(np.sum(found))


@pytest.mark.parametrize("scheme", ["W4A8", "W4A8-g32", "W3A8", "W4A8-g16"])
def test_outputs_lose_less(scheme: str):
    before = calibrated(parse_widths(scheme))
    after = ClipWeights(samples()).run(before)
    assert lost(after) < 0.9 * lost(before)


def test_weights_of_eight_bits_stay():
    before = calibrated(parse_widths("W8A8"))
    assert ClipWeights(samples()).run(before) is before


def test_without_samples_nothing_is_known_and_nothing_done():
    before = calibrated(parse_widths("W4A8"))
    assert ClipWeights().run(before) is before


def test_twice_is_once():
    once = ClipWeights(samples()).run(calibrated(parse_widths("W4A8-g32")))
    assert ClipWeights(samples()).run(once) is once
