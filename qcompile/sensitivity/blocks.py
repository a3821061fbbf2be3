"""Blocks of a network: what stands between two values that everything passes through."""

from __future__ import annotations

from collections.abc import Collection
from itertools import combinations, pairwise

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul


def blocks(graph: Graph) -> list[list[Node]]:
    """The nodes that the inputs reach and the results need, in graph order, cut behind each value
    that every path from an input to a result goes through (the articulation points).

    A residual branch and its shortcut are one block, with the addition that joins them; a chain is
    blocks of one node each.
    """
    flow = _flow(graph)
    last = {operand: node for node in flow for operand in node.operands}
    alive: set[Node] = set(graph.inputs)
    found: list[list[Node]] = [[]]
    for node in flow:
        found[-1].append(node)
        alive -= {o for o in node.operands if last[o] is node}
        alive |= {node} & last.keys()
        if alive <= {node}:
            found.append([])
    return [block for block in found if block]


def _flow(graph: Graph) -> list[Node]:
    """What lies on a path from an input to a result, inputs aside."""
    reached: set[Node] = set(graph.inputs)
    for node in graph.nodes:
        if any(o in reached for o in node.operands):
            reached.add(node)
    needed: set[Node] = set(graph.results)
    for node in reversed(graph.nodes):
        if node in needed:
            needed.update(node.operands)
    both = reached & needed
    return [node for node in graph.nodes if node in both and node not in graph.inputs]


def neighbours(graph: Graph, names: Collection[str]) -> list[tuple[str, str]]:
    """Pairs of these contractions that share a block, and the last of each block that has any
    with the first of the next one; both in graph order."""
    kinds = Conv | ConvTranspose | MatMul
    inside = [
        [node.name for node in block if isinstance(node, kinds) and node.name in names]
        for block in blocks(graph)
    ]
    full = [block for block in inside if block]
    found = [pair for block in full for pair in combinations(block, 2)]
    found += [(one[-1], two[0]) for one, two in pairwise(full)]
    place = {name: p for p, name in enumerate(name for block in full for name in block)}
    return sorted(found, key=lambda pair: (place[pair[0]], place[pair[1]]))
