"""What each node's value is called in the written model: a function of the graph alone."""

from __future__ import annotations

from collections.abc import Mapping

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.source import Input


def value_names(graph: Graph) -> Mapping[Node, str]:
    """The node's own name; `_1`, `_2` … behind it where that is taken.

    A graph output's name belongs to the node that it names, when that is the node's own name too;
    otherwise the writer copies the value to the output.
    """
    names: dict[Node, str] = {}
    free = {name: node for name, node in reversed(graph.outputs) if not isinstance(node, Input)}
    taken = set(free)
    for node in (*graph.inputs, *graph.nodes):
        if node in names:
            continue
        base = node.name or node.op
        mine = free.get(base) is node
        names[node] = base if mine else _fresh(base, taken)
        taken.add(names[node])
    return names


def _fresh(base: str, taken: set[str]) -> str:
    if base not in taken:
        return base
    suffix = 1
    while f"{base}_{suffix}" in taken:
        suffix += 1
    return f"{base}_{suffix}"
