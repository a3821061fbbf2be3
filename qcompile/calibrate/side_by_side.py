"""All samples through a graph together, node by node, where one node's work needs all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node

T = TypeVar("T")
Step = Callable[[Node, Sequence[Sequence[T]]], list[T]]
Walk = Callable[[Sequence[Node]], Iterable[Node]]
"""All nodes in order, for whoever counts along."""


def side_by_side(
    graph: Graph, inputs: Mapping[Node, list[T]], step: Step[T], walk: Walk = iter
) -> None:
    """Calls `step(node, operands)` for every node but the inputs, operands first.

    `operands` holds one row per sample, and a single row for what no input reaches. `step` gives
    one value per row; each value is dropped after its last use.
    """
    env = dict(inputs)
    remaining = {node: len(users) for node, users in graph.users.items()}
    for node in walk(graph.nodes):
        if node not in env:
            env[node] = step(node, rows([env[o] for o in node.operands]))
        for operand in dict.fromkeys(node.operands):
            remaining[operand] -= 1
            if not remaining[operand]:
                del env[operand]


def rows(columns: Sequence[Sequence[T]]) -> list[list[T]]:
    """Columns as rows; a column of one value stands in every row."""
    count = max((len(column) for column in columns), default=1)
    return [[column[i if len(column) > 1 else 0] for column in columns] for i in range(count)]
