"""From a specified graph to the integer program: calibrate, correct the biases, quantize."""

from __future__ import annotations

from qcompile.evidence import Evidence
from qcompile.ir.graph import Graph
from qcompile.passes.calibrate import Calibrate
from qcompile.passes.correct_bias import CorrectBias
from qcompile.passes.correct_bias_by_twin import CorrectBiasByTwin
from qcompile.passes.invariants import SPECIFIED
from qcompile.passes.pipeline import Observer, Pipeline
from qcompile.passes.quantize import Quantize
from qcompile.passes.recipe import Recipe
from qcompile.targets.base import Stages


def quantized(
    real: Graph,
    specified: Graph,
    evidence: Evidence,
    recipe: Recipe,
    watch: tuple[Observer, ...] = (),
) -> Stages:
    """Calibrate, take mean errors out of the biases, quantize; the graph between them is kept."""
    used, threads = evidence.used, evidence.threads
    correct = (
        CorrectBias(used, threads)
        if evidence.twin is None
        else CorrectBiasByTwin(evidence.twin, used, threads)
    )
    settle = Pipeline((Calibrate(evidence.statistics), correct), frozenset({SPECIFIED}))
    calibrated = settle.run(specified, watch)
    integer = Pipeline((Quantize(recipe),), settle.gives).run(calibrated, watch)
    return Stages(real, calibrated, integer)
