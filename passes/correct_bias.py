"""bias → bias + E[real − quantized]: each contraction's mean error is taken out of its bias.

Rounded weights shift the mean of every output channel by E[ΔW·x], which the rounding of
activations cannot average away. The shift is measured on samples, layer by layer behind layers
already corrected (Nagel et al., arXiv 1906.04721, section 4.2, the empirical form).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeGuard

import numpy as np
from numpy.typing import NDArray

from qcompile.calibrate.collect import in_order
from qcompile.calibrate.side_by_side import side_by_side
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.quant import FakeQuant, FakeQuantDynamic
from qcompile.ir.ops.source import Const, const
from qcompile.ir.rewrite import Site, rewrite
from qcompile.ir.types import Array
from qcompile.passes.base import Meaning, Pass
from qcompile.passes.each import Each, uncounted
from qcompile.passes.invariants import CALIBRATED

Values = NDArray[Any]
Contraction = Conv | ConvTranspose | MatMul


@dataclass(frozen=True)
class CorrectBias(Pass):
    """All samples go through together, real and quantized side by side, node by node."""

    name: ClassVar[str] = "correct-bias"
    requires = frozenset({CALIBRATED})
    gives = frozenset({CALIBRATED})
    keeps: ClassVar[Meaning] = Meaning.NOT

    samples: Sequence[Sequence[Array]] = field(repr=False)
    threads: int = field(default=1, repr=False)
    each: Each = field(default=uncounted, repr=False)

    def run(self, graph: Graph) -> Graph:
        """The same graph with other biases; itself when nothing is quantized."""
        if not any(is_weighted(node) for node in graph.nodes) or not self.samples:
            return graph
        biases = _measure(graph, self.samples, self.threads, self.each)

        def swap(node: Node, site: Site) -> Node | None:
            found = biases.get(site.was(node))
            if found is None or not isinstance(node, Conv | ConvTranspose | MatMul):
                return None
            return node.replace(bias=found)

        return rewrite(graph, swap)


def is_weighted(node: Node) -> TypeGuard[Contraction]:
    """A contraction whose weight is quantized."""
    match node:
        case Conv(w=FakeQuant(x=Const())) | ConvTranspose(w=FakeQuant(x=Const())):
            return isinstance(node.bias, Const | None)
        case MatMul(b=FakeQuant(x=Const())):
            return isinstance(node.bias, Const | None)
        case _:
            return False


@dataclass(frozen=True)
class Pair:
    """A value as the float model has it, and as the quantized one."""

    real: Array
    quantized: Array


def _measure(
    graph: Graph, samples: Sequence[Sequence[Array]], threads: int, each: Each
) -> dict[Node, Const]:
    found: dict[Node, Const] = {}
    done = iter(each([node for node in graph.nodes if is_weighted(node)], "correcting biases"))

    def step(node: Node, operands: Sequence[Sequence[Pair]]) -> list[Pair]:
        pairs = list(in_order(lambda row: both_ways(node, row), operands, threads=threads))
        if not is_weighted(node):
            return pairs
        next(done, None)
        shift = mean_error(node, pairs)
        found[node] = shifted(node, shift)
        spread = over_channels(node, shift)
        return [Pair(p.real, p.quantized + spread) for p in pairs]

    columns: dict[Node, list[Pair]] = {
        n: [Pair(s[i], s[i]) for s in samples] for i, n in enumerate(graph.inputs)
    }
    side_by_side(graph, columns, step)
    return found


def both_ways(node: Node, operands: Sequence[Pair]) -> Pair:
    """The node's value on real and on quantized operands."""
    quantized = node.evaluate(*(p.quantized for p in operands))
    if isinstance(node, FakeQuant | FakeQuantDynamic):
        return Pair(operands[0].real, quantized)
    if all(p.real is p.quantized for p in operands):
        return Pair(quantized, quantized)
    return Pair(node.evaluate(*(p.real for p in operands)), quantized)


def mean_error(node: Contraction, pairs: Sequence[Pair]) -> Values:
    """E[real − quantized] per output channel, shrunk by how little the samples agree on it.

    With mean m and its standard error e over the samples the estimate is m · max(0, 1 − e²/m²):
    a shift that few samples show by chance is left alone.
    """
    errors = [
        mean_by_channel(node, p.real.astype(np.float64) - p.quantized.astype(np.float64))
        for p in pairs
    ]
    mean = np.mean(errors, 0)
    if len(errors) < 2:
        return mean
    doubt = np.var(errors, 0, ddof=1) / len(errors)
    return mean * np.maximum(0.0, 1 - doubt / np.maximum(np.square(mean), 1e-300))


def mean_by_channel(node: Contraction, values: Values) -> Values:
    """The mean of each output channel of a value of this node."""
    axis = node.type.rank - 1 if isinstance(node, MatMul) else 1
    return values.mean(tuple(a for a in range(node.type.rank) if a != axis), dtype=np.float64)


def shifted(node: Contraction, shift: Values) -> Const:
    """The node's bias plus `shift`."""
    old = node.bias.array if isinstance(node.bias, Const) else 0.0
    name = node.bias.name if isinstance(node.bias, Const) else f"{node.name}.bias"
    return const((old + shift).astype(node.type.elem.storage), name=name)


def over_channels(node: Contraction, shift: Values) -> Values:
    """One number for each output channel, shaped to be added to a value of this node."""
    kind = node.type.elem.storage
    if isinstance(node, MatMul):
        return shift.astype(kind)
    return shift.reshape(1, -1, *(1,) * (node.type.rank - 2)).astype(kind)
