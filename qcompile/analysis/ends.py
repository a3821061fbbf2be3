"""Where a graph's answer is judged: before what saturates it or counts it out."""

from __future__ import annotations

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.pointwise import Sigmoid
from qcompile.ir.ops.reduce import ArgMax, ArgMin, Softmax
from qcompile.ir.ops.shape import Reshape


def before_saturation(node: Node) -> Node:
    """The value behind which only a softmax, a sigmoid and reshapes stand; else the node."""
    seen = node
    while isinstance(seen, Reshape):
        seen = seen.x
    if not isinstance(seen, Softmax | Sigmoid):
        return node
    seen = seen.x
    while isinstance(seen, Reshape):
        seen = seen.x
    return seen


def compared(graph: Graph) -> tuple[tuple[str, Node], ...]:
    """Per output the reals that tell how good it is: before a final softmax, sigmoid or argmax.

    Outputs without such reals, and what stands under a second name, are left out.
    """
    found: dict[Node, str] = {}
    for name, node in graph.outputs:
        inner = node.x if isinstance(node, ArgMax | ArgMin) else node
        end = before_saturation(inner)
        if end.type.is_float:
            found.setdefault(end, name)
    return tuple((name, node) for node, name in found.items())
