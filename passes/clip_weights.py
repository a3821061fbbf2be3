"""Weights of few bits take scales by what they are multiplied with: what is felt most is cut least.

AWQ (arXiv 2306.00978), section 3.2, searches how far to clip each group by the error of the output;
here the error of each weight counts by the mean square of its input, the diagonal of E[xᵀx].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from qcompile.calibrate.together import run_together
from qcompile.ir.dims import static
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv, MatMul
from qcompile.ir.ops.quant import FakeQuant, Spec
from qcompile.ir.ops.source import Const
from qcompile.ir.rewrite import Site, rewrite
from qcompile.ir.types import Array
from qcompile.passes.base import Meaning, Pass
from qcompile.passes.calibrate import unit_of
from qcompile.passes.invariants import CALIBRATED
from qcompile.passes.weight_units import weight_unit

Values = NDArray[Any]


@dataclass(frozen=True)
class ClipWeights(Pass):
    """`samples` show what weights are multiplied with; weights of 8 bits stay as they are."""

    name: ClassVar[str] = "clip-weights"
    requires = frozenset({CALIBRATED})
    gives = frozenset({CALIBRATED})
    keeps: ClassVar[Meaning] = Meaning.NOT

    samples: Sequence[Sequence[Array]] = field(default=(), repr=False)
    threads: int = field(default=1, repr=False)

    def run(self, graph: Graph) -> Graph:
        """The same graph with other scales of weights; itself when none has fewer than 8 bits."""
        edges = {node: edge for node in graph.nodes if (edge := _edge(node)) is not None}
        if not edges or not self.samples:
            return graph
        energies = _energies(graph, edges, self.samples)

        def swap(node: Node, site: Site) -> Node | None:
            edge = edges.get(site.was(node))
            if edge is None or not isinstance(node, Conv | MatMul):
                return None
            return _rescaled(node, energies[edge], self.threads)

        return rewrite(graph, swap)


def _edge(node: Node) -> tuple[Node, int] | None:
    """What a narrow weight is multiplied with, and the axis that is summed over."""
    match node:
        case Conv(x=x, w=FakeQuant(x=Const(), elem=elem), groups=1) if elem.bits < 8:
            return x, 1
        case MatMul(a=a, b=FakeQuant(x=Const() as w, elem=elem)) if elem.bits < 8:
            return (a, a.type.rank - 1) if w.type.rank == 2 else None
        case _:
            return None


def _energies(
    graph: Graph, edges: Mapping[Node, tuple[Node, int]], samples: Sequence[Sequence[Array]]
) -> dict[tuple[Node, int], Values]:
    """The mean square of each channel of each edge."""
    found = {edge: np.zeros(static((edge[0].type.shape[edge[1]],))) for edge in edges.values()}
    by_value: dict[Node, list[int]] = {}
    for value, axis in found:
        by_value.setdefault(value, []).append(axis)

    def hear(index: int, node: Node, value: Array) -> None:
        squares = np.square(value.astype(np.float64))
        for axis in by_value[node]:
            others = tuple(i for i in range(value.ndim) if i != axis)
            found[node, axis] += squares.mean(others) / len(samples)

    run_together(graph, samples, keep=by_value, hear=hear)
    return found


def _rescaled(node: Conv | MatMul, energy: Values, threads: int) -> Node | None:
    mark = node.w if isinstance(node, Conv) else node.b
    if not isinstance(mark, FakeQuant) or not isinstance(mark.x, Const) or not energy.any():
        return None
    taps = prod(static(mark.type.shape[2:])) if isinstance(node, Conv) else 1
    unit = mark.unit
    spec = Spec(mark.elem, symmetric=True, axis=unit.axis, method="mse", group=unit.group)
    bias = node.bias if isinstance(node.bias, Const) else None
    x = unit_of(node.x if isinstance(node, Conv) else node.a)
    felt = np.repeat(np.maximum(energy, energy.mean() * 1e-6), taps)
    found = weight_unit(mark.x, spec, bias, x, threads=threads, energy=felt)
    if found == unit:
        return None
    swapped = mark.replace(unit=found)
    return node.replace(w=swapped) if isinstance(node, Conv) else node.replace(b=swapped)
