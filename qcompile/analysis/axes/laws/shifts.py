"""The table of shifts: what may be added to values index by index, in each operation.

Let the value v become v − z, z one number for each index of an axis, the same all along the others.
An operation lets certain z of its operands and its result pass: `rows` demand Σ row_i z_i = 0. What
a bias of the operation takes up is free: see `qcompile.passes.transforms.shift`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from qcompile.analysis.axes.laws.law import Law, Port, frozen, kept
from qcompile.analysis.axes.laws.movement import movement_laws
from qcompile.analysis.axes.laws.shifts_across import across_laws
from qcompile.analysis.axes.laws.shifts_elementwise import elementwise_shifts
from qcompile.analysis.axes.laws.shifts_linear import linear_shifts
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.foreign import Foreign
from qcompile.ir.ops.quant import FakeQuant, Observe
from qcompile.ir.ops.shape import Pad, ShapeOf
from qcompile.ir.ops.source import Const, Input


def shift_laws(graph: Graph) -> Iterator[Law]:
    """All laws, in graph order; inputs and outputs may not change."""
    for node in graph.nodes:
        yield from (replace(law, owner=node) for law in shifts_of(node))
    for name, node in graph.outputs:
        yield from _all_frozen(node, why=f"it is the graph's output {name}")


def shifts_of(node: Node) -> Iterator[Law]:
    """One operation's laws."""
    if not node.type.is_float:
        yield from (kept(Port(node, axis), why="it holds integers") for axis in _axes(node))
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
    for family in _FAMILIES:
        laws = family(node)
        if laws is not None:
            yield from laws
            return
    yield from _unknown(node, why=f"nothing is known of {node.op}")


def _bordered(node: Node) -> Iterator[Law] | None:
    """A border of one number stays where it is."""
    if not isinstance(node, Pad) or node.mode != "constant" or max(node.pads, default=0) <= 0:
        return None
    why = f"pad puts {node.value:g} around it"
    return (
        (kept if own.size == source.size else frozen)(port, why=why)
        for own, source in ((Port(node, i), Port(node.x, i)) for i in _axes(node))
        for port in (own, source)
    )


_FAMILIES: tuple[Callable[[Node], Iterator[Law] | None], ...] = (
    elementwise_shifts, linear_shifts, across_laws, _bordered, movement_laws,
)  # fmt: skip


def _unknown(node: Node, *, why: str) -> Iterator[Law]:
    for value in (node, *node.operands):
        yield from _all_frozen(value, why=why)


def _all_frozen(node: Node, *, why: str) -> Iterator[Law]:
    yield from (frozen(Port(node, axis), why=why) for axis in _axes(node))


def _axes(node: Node) -> range:
    return range(node.type.rank)
