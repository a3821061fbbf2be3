"""bias → bias + (W − Q(W)) · E[x]: rounded weights' mean error, with E[x] from a matched twin.

Nagel et al., arXiv 1906.04721, section 4.2, the form that needs no data: the mean of a layer's
input follows from the batchnorms before it. They take it from formulas for one activation; a twin
whose batchnorms are matched on noise gives it behind any operations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from qcompile.calibrate.collect import in_order
from qcompile.calibrate.side_by_side import side_by_side
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import ConvTranspose, MatMul
from qcompile.ir.ops.quant import FakeQuant, Observe
from qcompile.ir.ops.source import Const
from qcompile.ir.rewrite import Site, rewrite
from qcompile.ir.types import Array
from qcompile.passes.base import Meaning, Pass
from qcompile.passes.correct_bias import Contraction, is_weighted, mean_by_channel, shifted
from qcompile.passes.invariants import CALIBRATED

Values = NDArray[Any]
SAME = 1e-3  # of a channel's greatest weight: rounding in other units stays far below


@dataclass(frozen=True)
class CorrectBiasByTwin(Pass):
    """`twin` has the graph's names; `samples` are its inputs.

    Only the error of the weights is taken out, at its first cause. Errors of layers before would
    be measured wrong: the twin passes them on other than the network does, since its weights are
    scaled to noise. A layer whose weights are not the twin's up to one factor per output channel
    reads other values than the twin's layer, and is left alone.
    """

    name: ClassVar[str] = "correct-bias-by-twin"
    requires = frozenset({CALIBRATED})
    gives = frozenset({CALIBRATED})
    keeps: ClassVar[Meaning] = Meaning.NOT

    twin: Graph = field(repr=False)
    samples: Sequence[Sequence[Array]] = field(repr=False)
    threads: int = field(default=1, repr=False)

    def run(self, graph: Graph) -> Graph:
        """The same graph with other biases; itself when nothing is quantized."""
        rounded = {node.name: node for node in graph.nodes if is_weighted(node)}
        if not rounded or not self.samples:
            return graph
        shifts = self._shifts(rounded)

        def swap(node: Node, site: Site) -> Node | None:
            found = shifts.get(site.was(node))
            if found is None or not is_weighted(node):
                return None
            return node.replace(bias=shifted(node, found))

        return rewrite(graph, swap)

    def _shifts(self, rounded: Mapping[str, Contraction]) -> dict[Node, Values]:
        found: dict[Node, Values] = {}

        def step(node: Node, operands: Sequence[Sequence[Array]]) -> list[Array]:
            own = rounded.get(node.name)
            if own is not None and _matches(own, node):
                found[own] = _shift(own, _mean([row[0] for row in operands]))
            return list(in_order(lambda row: node.evaluate(*row), operands, threads=self.threads))

        inputs = self.twin.inputs
        side_by_side(
            self.twin, {n: [s[i] for s in self.samples] for i, n in enumerate(inputs)}, step
        )
        return found


def _mean(values: Sequence[Array]) -> Array:
    return np.asarray(np.mean(values, 0, dtype=np.float64)).astype(values[0].dtype)


def _shift(node: Contraction, x: Array) -> Values:
    """(W − Q(W)) · x per output channel: the mean over samples and places, borders as they are."""
    real, quantized = _weight(node), node.operands[1].evaluate(_weight(node))
    bare = node.replace(bias=None)
    return mean_by_channel(node, bare.evaluate(x, real - quantized))


def _matches(node: Contraction, other: Node) -> bool:
    """True when both have the same weights but for one positive factor per output channel."""
    if type(other) is not type(node) or len(other.operands) < 2:
        return False
    theirs = other.operands[1]
    theirs = theirs.x if isinstance(theirs, Observe | FakeQuant) else theirs
    if not isinstance(theirs, Const) or theirs.type.shape != node.operands[1].type.shape:
        return False
    a, b = (_rows(node, w) for w in (_weight(node), theirs.array))
    return bool(np.all(np.abs(a - b) <= SAME))


def _weight(node: Contraction) -> Array:
    quantized = node.operands[1]
    assert isinstance(quantized, FakeQuant)
    assert isinstance(quantized.x, Const)
    return quantized.x.array


def _rows(node: Contraction, w: Array) -> Values:
    """The weights of each output channel, the greatest of them 1 (or −1)."""
    values = np.asarray(w, np.float64)
    match node:
        case MatMul():
            rows = np.moveaxis(values, -1, 0)
        case ConvTranspose(groups=groups):
            inputs, outputs, *taps = values.shape
            split = values.reshape(groups, inputs // groups, outputs, *taps)
            rows = np.moveaxis(split, 2, 1).reshape(groups * outputs, -1)
        case _:
            rows = values
    rows = rows.reshape(len(rows), -1)
    return rows / np.maximum(np.abs(rows).max(1, keepdims=True), np.finfo(np.float64).tiny)
