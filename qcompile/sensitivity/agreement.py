"""The damage of a whole quantized graph, by the measure that sensitivities have."""

from __future__ import annotations

from qcompile.analysis.ends import compared
from qcompile.errors import UsageError
from qcompile.ir.graph import Graph
from qcompile.sensitivity.network import Network, one_thread
from qcompile.sensitivity.study import Study
from qcompile.sensitivity.walk import Walk


def damage_between(study: Study, quantized: Graph) -> float:
    """E‖y' − y‖² / E‖y‖² of the study's samples, the mean over outputs; y' from `quantized`, a
    graph of reals with the same inputs and outputs, fake-quantized say."""
    ends = compared(quantized)
    judged = Graph(quantized.name, quantized.inputs, ends)
    if [name for name, _ in ends] != [name for name, _ in study.graph.outputs]:
        raise UsageError(f"{quantized.name} has other outputs than {study.graph.name}")
    with one_thread():
        walk, network = Walk(study), Network(judged)
        batches = network.batches(study.samples)
        found = walk.each(lambda i: network.outputs(batches[i]))
        return walk.damage(found)
