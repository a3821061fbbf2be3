"""Masks: what is added in front of a softmax to forbid a place needs no more than its sign."""

from __future__ import annotations

from collections.abc import Mapping

from qcompile.calibrate.estimators import Range
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add
from qcompile.ir.ops.quant import Observe
from qcompile.ir.ops.reduce import Softmax
from qcompile.passes.roles import Role, role

FORBIDDEN = -65536.0  # far beyond any logarithm of a probability


def without_masks(graph: Graph, ranges: Mapping[Observe, Range]) -> dict[Observe, Range]:
    """The ranges, cut at −2^16 where additions in front of a softmax are all that reads.

    Exporters write −1e9, or the least float, for what must not be attended to. A sum whose unit has
    to hold that holds nothing of what is added to it; e^−65536 is 0 all the same.
    """
    return {
        edge: (max(lo, FORBIDDEN), hi)
        if lo < FORBIDDEN < hi and _forbids(edge, graph)
        else (lo, hi)
        for edge, (lo, hi) in ranges.items()
    }


def _forbids(value: Node, graph: Graph) -> bool:
    """All that reads the value, through moves and additions, is a softmax."""
    users = graph.users.get(value, ())
    if not users or value in graph.results:
        return False
    return all(
        isinstance(user, Softmax)
        or ((isinstance(user, Add) or role(user) is Role.MOVE) and _forbids(user, graph))
        for user in users
    )
