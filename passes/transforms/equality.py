"""How far two graphs of reals are apart that should compute the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from qcompile.calibrate.together import run_together
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.types import Array
from qcompile.passes.each import Each, uncounted


class Runs:
    """Outputs of graphs on the same samples, each graph run once."""

    def __init__(self, samples: Sequence[Sequence[Array]], each: Each = uncounted) -> None:
        self._samples = samples
        self._each = each
        self._known: dict[Graph, list[list[Array]]] = {}

    def difference(self, a: Graph, b: Graph) -> float:
        """The greatest ‖y_b − y_a‖ / ‖y_a‖ of an output over all samples; infinite for NaN."""
        signal = np.zeros(len(a.results))
        error = np.zeros(len(a.results))
        for old, new in zip(self._of(a), self._of(b), strict=True):
            for place, (x, y) in enumerate(zip(old, new, strict=True)):
                wanted, found = x.astype(np.float64), y.astype(np.float64)
                signal[place] += np.square(wanted).sum()
                error[place] += np.square(found - wanted).sum()
        ratios = np.sqrt(error / np.where(signal > 0, signal, 1.0))
        return float(ratios.max(initial=0.0)) if np.isfinite(ratios).all() else float("inf")

    def _of(self, graph: Graph) -> list[list[Array]]:
        if graph not in self._known:
            self._known[graph] = _outputs(graph, self._samples, self._each)
        return self._known[graph]


def difference(a: Graph, b: Graph, samples: Iterable[Sequence[Array]]) -> float:
    """The greatest ‖y_b − y_a‖ / ‖y_a‖ of an output over all samples; infinite for NaN."""
    return Runs(list(samples)).difference(a, b)


def _outputs(graph: Graph, samples: Sequence[Sequence[Array]], each: Each) -> list[list[Array]]:
    found: list[dict[Node, Array]] = [{} for _ in samples]

    def hear(place: int, node: Node, value: Array) -> None:
        found[place][node] = value

    def walk(nodes: Sequence[Node]) -> Iterable[Node]:
        return each(nodes, "comparing outputs")

    run_together(graph, samples, keep=graph.results, hear=hear, walk=walk)
    return [[own[node] for node in graph.results] for own in found]
