"""What a run computes: the nodes that inputs reach."""

from __future__ import annotations

from collections.abc import Iterator

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node


def reached(graph: Graph) -> Iterator[Node]:
    """The nodes that are computed from inputs, in the graph's order."""
    found: set[Node] = set(graph.inputs)
    for node in graph.nodes:
        if any(operand in found for operand in node.operands):
            found.add(node)
            yield node
