"""All rewrites that let matrices and scales act at more places, in their order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from qcompile.ir.graph import Graph
from qcompile.passes.base import Meaning, Pass
from qcompile.passes.center_norms import CenterNorms
from qcompile.passes.fold_norm_scales import FoldNormScales
from qcompile.passes.fold_shifts import FoldShifts
from qcompile.passes.hoist_slices import HoistSlices
from qcompile.passes.untie_weights import UntieWeights


@dataclass(frozen=True)
class ExposeSites(Pass):
    """Unties weights, takes fused projections apart, centres and unscales norms.

    The graph computes the same and costs no more; `untie_weights.extra_bytes` tells what untying
    can add.
    """

    name: ClassVar[str] = "expose-sites"
    keeps: ClassVar[Meaning] = Meaning.CLOSELY

    def run(self, graph: Graph) -> Graph:
        """Weights first: a shared one keeps its norm's scale from being folded."""
        for step in (UntieWeights(), HoistSlices(), CenterNorms(), FoldShifts(), FoldNormScales()):
            graph = step.run(graph)
        return graph
