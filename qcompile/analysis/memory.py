"""How much memory running a graph takes."""

from __future__ import annotations

from math import prod

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.quant import Observe
from qcompile.ir.ops.source import Const


def peak_bytes(graph: Graph) -> int:
    """The most memory that one sample's intermediate values take at once."""
    remaining = {node: len(users) for node, users in graph.users.items()}
    held = peak = 0
    for node in graph.nodes:
        held += _bytes(node)
        peak = max(peak, held)
        for operand in dict.fromkeys(node.operands):
            remaining[operand] -= 1
            held -= 0 if remaining[operand] else _bytes(operand)
    return peak


def _bytes(node: Node) -> int:
    if isinstance(node, Const | Observe):
        return 0
    return 4 * prod(d for d in node.type.shape if isinstance(d, int))
