"""What holds for any network: meaning is kept, a second run changes nothing, bounds hold."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings

from qcompile.analysis.bounds import Bounds
from qcompile.calibrate.collect import collect
from qcompile.coverage import coverage
from qcompile.ir.graph import Graph
from qcompile.ir.text import blobs, dump
from qcompile.ir.types import Array
from qcompile.passes.calibrate import Calibrate, observed
from qcompile.passes.canonicalize import Canonicalize
from qcompile.passes.correct_bias import CorrectBias
from qcompile.passes.fold_batchnorm import FoldBatchNorm
from qcompile.passes.fold_constants import FoldConstants
from qcompile.passes.fuse_activations import FuseActivations
from qcompile.passes.fuse_padding import FusePadding
from qcompile.passes.invariants import INTEGER
from qcompile.passes.observe import Compare, Verify
from qcompile.passes.pipeline import Pipeline
from qcompile.passes.quantize import Quantize
from qcompile.passes.recipe import Recipe
from qcompile.passes.specify import Specify
from qcompile.quality import output_sqnr
from qcompile.stages import SIMPLIFY, simplify, specify
from tests.helpers import assert_same_meaning, seeded_inputs
from tests.strategies import graphs, random_graph

Sample = tuple[Array, ...]

EACH = [FoldConstants(), Canonicalize(), FuseActivations(), FusePadding(), FoldBatchNorm()]
SEEDS = pytest.mark.parametrize("seed", range(24))
INT32 = 2**31


def drawn(graph: Graph, count: int, *, start: int) -> list[Sample]:
    return [seeded_inputs(graph, seed=start + i) for i in range(count)]


@cache
def stages(seed: int) -> tuple[Graph, Graph, Graph]:
    """Float, calibrated and integer graph of one seed."""
    real = simplify(random_graph(seed))
    return real, *quantized(real)


def quantized(real: Graph) -> tuple[Graph, Graph]:
    marked = specify(real, Recipe())
    samples = drawn(real, 8, start=1000)
    calibrated = Calibrate(collect(marked, observed(marked), samples)).run(marked)
    calibrated = CorrectBias(samples).run(calibrated)
    return calibrated, Quantize().run(calibrated)


@settings(max_examples=25, deadline=None)
@given(graphs())
def test_simplifying_keeps_every_promise_and_the_meaning(graph: Graph):
    watch = Verify(), Compare(seeded_inputs(graph, seed=1))
    after = SIMPLIFY.run(graph, watch)
    assert_same_meaning(graph, after, within=1e-4)
    assert SIMPLIFY.run(after) is after


@pytest.mark.parametrize("each", EACH, ids=lambda p: p.name)
@settings(max_examples=15, deadline=None)
@given(graph=graphs())
def test_a_pass_alone_keeps_what_it_promises_and_comes_to_rest(
    each: FoldConstants | Canonicalize | FuseActivations | FusePadding | FoldBatchNorm,
    graph: Graph,
):
    line = Pipeline((each,), given=each.requires)
    after = line.run(graph, (Verify(), Compare(seeded_inputs(graph))))
    assert each.run(after) is after


@settings(max_examples=25, deadline=None)
@given(graphs())
def test_marks_change_nothing(graph: Graph):
    marked = Specify().run(simplify(graph))
    assert_same_meaning(simplify(graph), marked, within=0)
    assert Specify().run(marked) is marked


@settings(max_examples=20, deadline=None)
@given(graphs())
def test_any_network_becomes_integers_whose_bounds_hold(graph: Graph):
    _, integer = quantized(simplify(graph))
    INTEGER.check(integer, where="after quantize")
    assert Quantize().run(integer) is integer
    assert outside_of_bounds(integer, seeded_inputs(integer, seed=5)) == []


def outside_of_bounds(graph: Graph, sample: Sample) -> list[str]:
    """Integers that a proof does not cover."""
    bounds = Bounds()
    whole = [node for node in graph.nodes if node.type.is_quantized]
    found = [(n, bounds.of(n), v) for n, v in graph.values(sample, keep=whole) if v.size]
    return [
        f"{node}: {value.min()}…{value.max()} is not in {lo}…{hi}"
        for node, (lo, hi), value in found
        if not (-INT32 < lo <= value.min() and value.max() <= hi < INT32)
    ]


EXTREMES: dict[str, Callable[[Array], Array]] = {
    "all as small as can be": lambda x: np.full_like(x, -1e30),
    "all as great as can be": lambda x: np.full_like(x, 1e30),
    "one end or the other": lambda x: np.where(x < 0, -1e30, 1e30).astype(x.dtype),
    "thousandfold": lambda x: x * 1000,
}


@pytest.mark.parametrize("extreme", EXTREMES)
@SEEDS
def test_bounds_hold_for_the_most_extreme_inputs(seed: int, extreme: str):
    _, _, integer = stages(seed)
    sample = tuple(EXTREMES[extreme](x) for x in seeded_inputs(integer, seed=3))
    assert outside_of_bounds(integer, sample) == []


@SEEDS
def test_the_integers_are_near_the_reals(seed: int):
    real, calibrated, integer = stages(seed)
    fresh = drawn(real, 4, start=5000)
    assert min(output_sqnr(real, integer, fresh).values()) > 15
    near = output_sqnr(calibrated, integer, fresh)
    assert min(near.values()) > 25


def test_typical_networks_keep_thirty_decibels():
    found = [
        decibels
        for real, _, integer in map(stages, range(24))
        for decibels in output_sqnr(real, integer, drawn(real, 4, start=5000)).values()
    ]
    assert np.median(found) > 30


@SEEDS
def test_no_layer_of_this_kind_stays_float(seed: int):
    assert coverage(stages(seed)[2], Recipe()).islands == {}


@pytest.mark.parametrize("seed", range(6))
def test_the_same_network_gives_the_same_bytes(seed: int):
    again = quantized(simplify(random_graph(seed)))[1]
    integer = stages(seed)[2]
    assert dump(again) == dump(integer)
    assert blobs(again).keys() == blobs(integer).keys()
