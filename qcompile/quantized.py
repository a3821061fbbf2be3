"""From a specified graph to the integer program: calibrate, correct the biases, quantize."""

from __future__ import annotations

from qcompile.evidence import Evidence
from qcompile.ir.graph import Graph
from qcompile.passes.base import Pass
from qcompile.passes.calibrate import Calibrate
from qcompile.passes.correct_bias import CorrectBias
from qcompile.passes.correct_bias_by_twin import CorrectBiasByTwin
from qcompile.passes.each import Each, uncounted
from qcompile.passes.invariants import SPECIFIED
from qcompile.passes.pipeline import Observer, Pipeline
from qcompile.passes.quantize import Quantize
from qcompile.passes.recipe import Recipe
from qcompile.passes.round_weights import RoundWeights
from qcompile.passes.rounding.policy import NEAREST, POLICIES
from qcompile.targets.base import Stages


def quantized(
    real: Graph,
    specified: Graph,
    evidence: Evidence,
    recipe: Recipe,
    watch: tuple[Observer, ...] = (),
    each: Each = uncounted,
) -> Stages:
    """Calibrate, round weights and correct biases, quantize; the graph between them is kept."""
    correct = correction(evidence, recipe, each)
    settle = Pipeline(
        (Calibrate(evidence.statistics, evidence.threads, each), correct), frozenset({SPECIFIED})
    )
    calibrated = settle.run(specified, watch)
    integer = Pipeline((Quantize(recipe, each),), settle.gives).run(calibrated, watch)
    return Stages(real, calibrated, integer)


def correction(evidence: Evidence, recipe: Recipe, each: Each = uncounted) -> Pass:
    """What takes the weights' errors out of the results, as far as the evidence goes."""
    used, threads = evidence.used, evidence.threads
    if evidence.twin is not None:
        return CorrectBiasByTwin(evidence.twin, used, threads)
    if recipe.rounding == NEAREST:
        return CorrectBias(used, threads, each)
    return RoundWeights(POLICIES[recipe.rounding], evidence.seen, threads, each)
