"""A table of laws by families of operations; what no family knows may not change."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from qcompile.analysis.axes.laws.law import Law, Port, frozen, kept
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.foreign import Foreign
from qcompile.ir.ops.quant import FakeQuant, Observe
from qcompile.ir.ops.shape import ShapeOf
from qcompile.ir.ops.source import Const, Input

Families = tuple[Callable[[Node], Iterator[Law] | None], ...]
"""Each gives the laws of the operations that it knows, and None for others."""


def laws_by(families: Families, node: Node) -> Iterator[Law]:
    """One operation's laws, of the first family that knows it."""
    if not node.type.is_float:
        yield from (kept(Port(node, i), why="it holds integers") for i in range(node.type.rank))
    match node:
        case Const():
            return
        case Input():
            yield from _all_frozen(node, why=f"it is the graph's input {node.name}")
        case ShapeOf():
            yield from _all_frozen(node, why="a shape")
        case _ if any(v.type.unit is not None for v in (node, *node.operands)):
            yield from _unknown(node, why=f"{node.op} is quantized already")
        case FakeQuant() | Observe():
            yield from _unknown(node, why=f"{node.op} knows the value's range")
        case Foreign():
            yield from _unknown(node, why=f"nothing is known of {node.title}")
        case _:
            known = (laws for family in families if (laws := family(node)) is not None)
            yield from next(known, _unknown(node, why=f"nothing is known of {node.op}"))


def laws_of_outputs(graph: Graph) -> Iterator[Law]:
    """What leaves the graph may not change."""
    for name, node in graph.outputs:
        yield from _all_frozen(node, why=f"it is the graph's output {name}")


def _unknown(node: Node, *, why: str) -> Iterator[Law]:
    for value in (node, *node.operands):
        yield from _all_frozen(value, why=why)


def _all_frozen(node: Node, *, why: str) -> Iterator[Law]:
    yield from (frozen(Port(node, axis), why=why) for axis in range(node.type.rank))
