"""Which intermediate values of a deployed program can be compared with the interpreter's."""

from __future__ import annotations

from collections import Counter

from qcompile.ir.graph import Graph


def layer_names(graph: Graph) -> list[str]:
    """Names that stand for one integer value only."""
    named = [n.name for n in graph.nodes if n.name and n.operands and n.type.is_quantized]
    times = Counter(named)
    return [name for name in named if times[name] == 1]
