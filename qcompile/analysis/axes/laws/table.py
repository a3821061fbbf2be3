"""The table: each operation's laws; what it does not know may not change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from qcompile.analysis.axes.laws.elementwise import elementwise_laws
from qcompile.analysis.axes.laws.families import Families, laws_by, laws_of_outputs
from qcompile.analysis.axes.laws.law import Law
from qcompile.analysis.axes.laws.linear import linear_laws
from qcompile.analysis.axes.laws.movement import movement_laws
from qcompile.analysis.axes.laws.norm import norm_laws
from qcompile.analysis.axes.laws.reduce import reduction_laws
from qcompile.analysis.axes.laws.rotary import rotaries, rotary_laws
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node

FAMILIES: Families = (
    elementwise_laws, linear_laws, movement_laws, norm_laws, reduction_laws,
)  # fmt: skip


def graph_laws(graph: Graph) -> Iterator[Law]:
    """All laws, in graph order; inputs and outputs may not change."""
    turns = rotaries(graph)
    skipped = {step for rotary in turns.values() for step in rotary.inner}
    for node in graph.nodes:
        if node in turns:
            yield from (replace(law, owner=node) for law in rotary_laws(turns[node]))
        elif node not in skipped:
            yield from (replace(law, owner=node) for law in laws_of(node))
    yield from laws_of_outputs(graph)


def laws_of(node: Node) -> Iterator[Law]:
    """One operation's laws."""
    return laws_by(FAMILIES, node)
