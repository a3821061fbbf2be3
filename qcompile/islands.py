"""Reals around products that scale at run time, told as one region."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.passes.dynamic_products import run_time_scales


def regions(graph: Graph, floats: Sequence[Node]) -> list[tuple[Node, ...]]:
    """Those of `floats`, in graph order, that are joined to a scale found at run time.

    Values that are scaled at run time are reals by intent, from one product to the next: norms,
    sums of skip connections, softmax and the scales themselves. Two operations are of one region
    when one reads the other.
    """
    leader: dict[Node, Node] = {node: node for node in floats}

    def root(node: Node) -> Node:
        while leader[node] is not node:
            node = leader[node]
        return node

    for node in floats:
        for operand in node.operands:
            if operand in leader:
                leader[root(operand)] = root(node)
    scales = run_time_scales(graph)
    wanted = dict.fromkeys(root(node) for node in floats if node in scales)
    return [tuple(node for node in floats if root(node) is top) for top in wanted]


def in_words(region: Sequence[Node]) -> tuple[str, str]:
    """A title, of the first and the last operation that have a name, and what it is made of."""
    counts = Counter(node.op for node in region)
    listed = ", ".join(f"{count} {op}" for op, count in counts.most_common())
    named = [n.name for n in region if n.name and not n.name.endswith(".scale")]
    title = " … ".join(dict.fromkeys((named[0], named[-1]))) if named else region[0].op
    return title, f"reals between products that scale at run time: {listed}"
