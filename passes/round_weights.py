"""Weights move onto their grids: which integers they become is chosen by what the layer reads.

Rounding to nearest asks how far each weight moves. What counts is how far the layer's outputs move,
and that is a quadratic form of the weights' errors under the second moments of its inputs; see
`qcompile.passes.rounding`. The inputs are those of the network as quantized up to there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from math import prod
from operator import add
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from qcompile.analysis.memory import peak_bytes
from qcompile.calibrate.collect import in_order
from qcompile.calibrate.side_by_side import side_by_side
from qcompile.ir.dims import static
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.quant import FakeQuant, to_reals
from qcompile.ir.ops.source import Const, const
from qcompile.ir.rewrite import Site, rewrite
from qcompile.ir.types import Array
from qcompile.ir.unit import Affine
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
from qcompile.passes.each import Each, uncounted
from qcompile.passes.invariants import CALIBRATED
from qcompile.passes.rounding.grid import Grid
from qcompile.passes.rounding.layout import from_rows, to_rows
from qcompile.passes.rounding.moments import Center, Moments, moments_of
from qcompile.passes.rounding.policy import Policy
from qcompile.passes.rounding.shelf import in_memory, on_shelf
from qcompile.passes.rounding.vectors import POSITIONS, met

Values = NDArray[Any]
Columns = Sequence[Sequence[Pair]]
Keep = Callable[[Iterable[Pair]], list[Pair]]
NARROW = 8  # weights of so many bits and more are left to the nearest integers
MOST = 1.5  # a scale's greatest change
MEMORY = 1 << 30  # bytes for values of all samples; more of them wait in files


@dataclass(frozen=True)
class RoundWeights(Pass):
    """Rounds by `policy`, layer by layer behind layers already rounded, and corrects biases.

    `samples` are gone through several times; values of many wait in files.

    The mean error of each layer's outputs leaves its bias (see `correct_bias`) before the next
    layer is looked at. So what is left to the weights is their inputs' covariance, without the
    mean. Weights of 8 bits and stacks of matrices keep their nearest integers.
    """

    name: ClassVar[str] = "round-weights"
    requires = frozenset({CALIBRATED})
    gives = frozenset({CALIBRATED})
    keeps: ClassVar[Meaning] = Meaning.NOT

    policy: Policy
    samples: Iterable[Sequence[Array]] = field(repr=False)
    threads: int = field(default=1, repr=False)
    each: Each = field(default=uncounted, repr=False)

    def run(self, graph: Graph) -> Graph:
        """The same graph with weights on their grids and other biases."""
        weighted = [node for node in graph.nodes if is_weighted(node)]
        count = sum(1 for _ in self.samples)
        if not count or not weighted:
            return graph
        needed = 2 * count * peak_bytes(graph)
        keep = in_memory if needed <= MEMORY else on_shelf
        walk = _Walk(self.policy, self.threads, keep)
        done = iter(self.each(weighted, "rounding weights"))

        def step(node: Node, operands: Columns) -> list[Pair]:
            if is_weighted(node):
                next(done, None)
            return walk.step(node, operands)

        inputs = [keep(Pair(s[i], s[i]) for s in self.samples) for i in range(len(graph.inputs))]
        side_by_side(graph, dict(zip(graph.inputs, inputs, strict=True)), step)

        def swap(node: Node, site: Site) -> Node | None:
            old = site.was(node)
            if old in walk.biases and isinstance(node, Conv | ConvTranspose | MatMul):
                return node.replace(bias=walk.biases[old])
            return walk.weights.get(old)

        return rewrite(graph, swap)


class _Walk:
    """New weights and biases, found while all samples go through the graph together."""

    def __init__(self, policy: Policy, threads: int, keep: Keep) -> None:
        self.weights: dict[Node, FakeQuant] = {}
        self.biases: dict[Node, Const] = {}
        self._policy, self._threads, self._keep = policy, threads, keep

    def step(self, node: Node, operands: Columns) -> list[Pair]:
        """The node's values, real and quantized, on a weight that is rounded on the way."""
        if not is_weighted(node):
            return self._values(node, operands)
        operands = self._rounded(node, operands)
        pairs = self._values(node, operands)
        shift = mean_error(node, pairs)
        self.biases[node] = shifted(node, shift)
        spread = over_channels(node, shift)
        return self._keep(Pair(p.real, p.quantized + spread) for p in pairs)

    def _values(self, node: Node, operands: Columns) -> list[Pair]:
        found = in_order(lambda row: both_ways(node, row), operands, threads=self._threads)
        return self._keep(found)

    def _rounded(self, node: Contraction, operands: Columns) -> Columns:
        """The operands with the weight's quantized values replaced."""
        marked = node.operands[1]
        assert isinstance(marked, FakeQuant)
        stacked = isinstance(node, MatMul) and prod(static(marked.type.shape)[:-2]) > 1
        if marked.elem.bits >= NARROW or marked in self.weights or stacked:
            return operands
        inputs = [row[0] for row in operands]
        self.weights[marked] = new = rounded(node, inputs, self._policy, threads=self._threads)
        assert isinstance(new.x, Const)
        value = new.evaluate(new.x.array)
        return [[row[0], Pair(row[1].real, value), *row[2:]] for row in operands]


def rounded(
    node: Contraction, inputs: Sequence[Pair], policy: Policy, *, threads: int = 1
) -> FakeQuant:
    """The marked weight of `node` on its grid: by `policy`, for these inputs."""
    marked = node.operands[1]
    assert isinstance(marked, FakeQuant)
    assert isinstance(marked.x, Const)
    old = marked.x
    w = to_rows(node, old.array.astype(np.float64))
    scale = np.ascontiguousarray(to_rows(node, scales(marked)))
    grid = Grid(scale, marked.elem.lo, marked.elem.hi)
    halves = moments(node, inputs, threads=threads)
    found = policy(w, halves, grid)
    along = found.aim @ reduce(add, halves).hessian
    unit = regained(node, marked, along * found.aim, along * (scale * found.q))
    integers = from_rows(node, found.q, old.array.shape).astype(marked.elem.storage)
    values = to_reals(integers, unit).astype(old.elem.storage)
    return marked.replace(x=const(values, name=old.name), unit=unit)


def moments(node: Contraction, inputs: Sequence[Pair], *, threads: int) -> list[Moments]:
    """Of the vectors that the node's rows meet in every second sample, and in those between; one
    alone when there is one sample."""
    each = max(POSITIONS // len(inputs), 1)

    def both(x: Pair) -> tuple[Values, Values]:
        own = met(node, x.quantized, limit=each)
        return own, own if x.real is x.quantized else met(node, x.real, limit=each)

    def mean(x: Pair) -> Values:
        own, real = both(x)
        return np.stack([v.mean(0, dtype=np.float64) for v in (own, real, np.square(own))])

    own, real, power = np.mean(list(in_order(mean, inputs, threads=threads)), 0)
    center = Center(own, real - own, np.sqrt(np.maximum(power - np.square(own), 0.0)))

    def one(x: Pair) -> Moments:
        own, real = both(x)
        return moments_of(own, real - own, center)

    halves = (inputs[::2], inputs[1::2])
    return [reduce(add, in_order(one, half, threads=threads)) for half in halves if len(half)]


def regained(node: Contraction, marked: FakeQuant, real: Values, kept: Values) -> Affine:
    """The weight's unit with each scale multiplied by Σ `real` / Σ `kept` of its weights.

    With wᵀHw and wᵀHq that is the factor after which the output follows the real one without
    gain: least error alone makes all outputs smaller, and the layers behind add that up.
    """
    unit, shape = marked.unit, static(marked.x.type.shape)
    axes = tuple(a for a in range(len(shape)) if a != unit.axis)
    wanted = np.atleast_1d(from_rows(node, real, shape).sum(axes))
    found = np.atleast_1d(from_rows(node, kept, shape).sum(axes))
    sound = (found > wanted / MOST) & (wanted > found / MOST)
    factor = np.where(sound, wanted / np.where(sound, found, 1.0), 1.0)
    scale = (np.array(unit.scale) * factor).astype(np.float32)
    return replace(unit, scale=tuple(float(s) for s in scale))


def scales(marked: FakeQuant) -> Values:
    """The real worth of one integer step for each element of a marked weight."""
    shape = static(marked.x.type.shape)
    spread = np.broadcast_to(marked.unit.scales(len(shape)), shape)
    return spread if marked.unit.group is None else spread * marked.unit.step_of_each(shape)
