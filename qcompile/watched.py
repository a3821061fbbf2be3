"""A graph evaluated while someone counts its nodes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.types import Array
from qcompile.passes.each import Each


def watched(
    graph: Graph, sample: Sequence[Array], keep: Collection[Node], each: Each
) -> Iterator[tuple[Node, Array]]:
    """`Graph.values` of one sample; `each` gets all nodes, one after the other."""
    wanted = frozenset(keep)
    values = graph.values(sample, keep=graph.nodes)
    counted = each(graph.nodes, "running the interpreter")
    for _, (node, value) in zip(counted, values, strict=False):
        if node in wanted:
            yield node, value
