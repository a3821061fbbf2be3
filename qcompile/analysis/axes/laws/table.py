"""The table: each operation's laws; what it does not know may not change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from qcompile.analysis.axes.laws.elementwise import elementwise_laws
from qcompile.analysis.axes.laws.law import Law, Port, frozen, kept
from qcompile.analysis.axes.laws.linear import linear_laws
from qcompile.analysis.axes.laws.movement import movement_laws
from qcompile.analysis.axes.laws.norm import norm_laws
from qcompile.analysis.axes.laws.reduce import reduction_laws
from qcompile.analysis.axes.laws.rotary import rotaries, rotary_laws
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.foreign import Foreign
from qcompile.ir.ops.quant import FakeQuant, Observe
from qcompile.ir.ops.shape import ShapeOf
from qcompile.ir.ops.source import Const, Input

FAMILIES: tuple[Callable[[Node], Iterator[Law] | None], ...] = (
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
    for name, node in graph.outputs:
        yield from _all_frozen(node, why=f"it is the graph's output {name}")


def laws_of(node: Node) -> Iterator[Law]:
    """One operation's laws."""
    if not node.type.is_float:
        yield from _integers(node)
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
            yield from _of_family(node)


def _of_family(node: Node) -> Iterator[Law]:
    for family in FAMILIES:
        laws = family(node)
        if laws is not None:
            yield from laws
            return
    yield from _unknown(node, why=f"nothing is known of {node.op}")


def _integers(node: Node) -> Iterator[Law]:
    for axis in range(node.type.rank):
        yield kept(Port(node, axis), why="it holds integers")


def _unknown(node: Node, *, why: str) -> Iterator[Law]:
    for value in (node, *node.operands):
        yield from _all_frozen(value, why=why)


def _all_frozen(node: Node, *, why: str) -> Iterator[Law]:
    for axis in range(node.type.rank):
        yield frozen(Port(node, axis), why=why)
