"""Weights move onto their grids: which integers they become is chosen by what the layer reads.

Rounding to nearest asks how far each weight moves. What counts is how far the layer's outputs move,
and that is a quadratic form of the weights' errors under the second moments of its inputs; see
`qcompile.passes.rounding`. The inputs are those of the network as quantized up to there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from qcompile.calibrate.collect import in_order
from qcompile.calibrate.side_by_side import side_by_side
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.quant import FakeQuant
from qcompile.ir.ops.source import Const, const
from qcompile.ir.rewrite import Site, rewrite
from qcompile.ir.types import Array
from qcompile.passes.base import Meaning, Pass
from qcompile.passes.correct_bias import (
    Contraction,
    Pair,
    both_ways,
    is_weighted,
    mean_error,
    over_channels,
    shifted,
)
from qcompile.passes.invariants import CALIBRATED
from qcompile.passes.rounding.grid import Grid
from qcompile.passes.rounding.layout import from_rows, to_rows
from qcompile.passes.rounding.moments import POSITIONS, moments
from qcompile.passes.rounding.policy import Policy

Values = NDArray[Any]
Columns = Sequence[Sequence[Pair]]
NARROW = 8  # weights of so many bits and more are left to the nearest integers


@dataclass(frozen=True)
class RoundWeights(Pass):
    """Rounds by `policy`, layer by layer behind layers already rounded, and corrects biases.

    The mean error of each layer's outputs leaves its bias (see `correct_bias`) before the next
    layer is looked at. So what is left to the weights is their covariance, without the mean.
    """

    name: ClassVar[str] = "round-weights"
    requires = frozenset({CALIBRATED})
    gives = frozenset({CALIBRATED})
    keeps: ClassVar[Meaning] = Meaning.NOT

    policy: Policy
    samples: Sequence[Sequence[Array]] = field(repr=False)
    threads: int = field(default=1, repr=False)

    def run(self, graph: Graph) -> Graph:
        """The same graph with weights on their grids and other biases."""
        if not self.samples or not any(is_weighted(node) for node in graph.nodes):
            return graph
        walk = _Walk(self.policy, self.threads)
        columns: dict[Node, list[Pair]] = {
            node: [Pair(sample[i], sample[i]) for sample in self.samples]
            for i, node in enumerate(graph.inputs)
        }
        side_by_side(graph, columns, walk.step)

        def swap(node: Node, site: Site) -> Node | None:
            old = site.was(node)
            if old in walk.biases and isinstance(node, Conv | ConvTranspose | MatMul):
                return node.replace(bias=walk.biases[old])
            return walk.weights.get(old)

        return rewrite(graph, swap)


class _Walk:
    """New weights and biases, found while all samples go through the graph together."""

    def __init__(self, policy: Policy, threads: int) -> None:
        self.weights: dict[Node, FakeQuant] = {}
        self.biases: dict[Node, Const] = {}
        self._policy, self._threads = policy, threads

    def step(self, node: Node, operands: Columns) -> list[Pair]:
        """The node's values, real and quantized, on a weight that is rounded on the way."""
        if not is_weighted(node):
            return self._values(node, operands)
        operands = self._rounded(node, operands)
        pairs = self._values(node, operands)
        shift = mean_error(node, pairs)
        self.biases[node] = shifted(node, shift)
        spread = over_channels(node, shift)
        return [Pair(p.real, p.quantized + spread) for p in pairs]

    def _values(self, node: Node, operands: Columns) -> list[Pair]:
        return list(in_order(lambda row: both_ways(node, row), operands, threads=self._threads))

    def _rounded(self, node: Contraction, operands: Columns) -> Columns:
        """The operands with the weight's quantized values replaced."""
        marked = node.operands[1]
        assert isinstance(marked, FakeQuant)
        if marked.elem.bits >= NARROW or marked in self.weights:
            return operands
        inputs = [row[0].quantized for row in operands]
        new = rounded(node, inputs, self._policy, threads=self._threads)
        self.weights[marked] = marked.replace(x=new)
        value = marked.evaluate(new.array)
        return [[row[0], Pair(row[1].real, value), *row[2:]] for row in operands]


def rounded(
    node: Contraction, inputs: Sequence[Array], policy: Policy, *, threads: int = 1
) -> Const:
    """The weight of `node` on its grid: by `policy`, for these inputs."""
    marked = node.operands[1]
    assert isinstance(marked, FakeQuant)
    assert isinstance(marked.x, Const)
    w, shape = marked.x, marked.x.array.shape
    each = max(POSITIONS // len(inputs), 1)
    parts = in_order(lambda x: moments(node, x, limit=each), inputs, threads=threads)
    seen = reduce(add, parts)
    scale = np.ascontiguousarray(to_rows(node, scales(marked)))
    grid = Grid(scale, marked.elem.lo, marked.elem.hi)
    q = policy(to_rows(node, w.array.astype(np.float64)), seen.covariance, grid)
    values = from_rows(node, scale * q, shape).astype(w.elem.storage)
    return const(np.ascontiguousarray(values), name=w.name)


def scales(marked: FakeQuant) -> Values:
    """The real worth of one integer step for each element of a marked weight."""
    shape = marked.x.type.shape
    sizes = tuple(int(d) for d in shape if isinstance(d, int))
    spread = np.broadcast_to(marked.unit.scales(len(sizes)), sizes)
    return spread if marked.unit.group is None else spread * marked.unit.step_of_each(sizes)
