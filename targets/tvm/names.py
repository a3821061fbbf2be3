"""What each value is called in a library's trace: a function of the graph alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.targets.reached import reached


def value_names(graph: Graph) -> Mapping[Node, str]:
    """The name of each value that inputs reach: the node's own where no other such node has it, or
    no other one of integers with a unit; otherwise `NAME~K`, K its place among them.

    Weights may be widened in between: the names are the same before and after.
    """
    nodes = tuple(reached(graph))
    times = Counter(node.name for node in nodes if node.name)
    whole = Counter(node.name for node in nodes if node.name and node.type.is_quantized)
    own = {
        node: node.name
        for node in nodes
        if times[node.name] == 1 or (node.type.is_quantized and whole[node.name] == 1)
    }
    taken = set(own.values())
    names: dict[Node, str] = {}
    for place, node in enumerate(nodes):
        names[node] = own.get(node) or _fresh(f"{node.name or node.op}~{place}", taken)
        taken.add(names[node])
    return names


def _fresh(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "~"
    return name
