"""The table of shifts: what may be added to values index by index, in each operation.

Let the value v become v − z, z one number for each index of an axis, the same all along the others.
An operation lets certain z of its operands and its result pass: `rows` demand Σ row_i z_i = 0. What
a bias of the operation takes up is free: see `qcompile.passes.transforms.shift`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from qcompile.analysis.axes.laws.families import Families, laws_by, laws_of_outputs
from qcompile.analysis.axes.laws.law import Law, Port, frozen, kept
from qcompile.analysis.axes.laws.movement import movement_laws
from qcompile.analysis.axes.laws.shifts_across import across_laws
from qcompile.analysis.axes.laws.shifts_elementwise import elementwise_shifts
from qcompile.analysis.axes.laws.shifts_linear import linear_shifts
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.shape import Pad


def shift_laws(graph: Graph) -> Iterator[Law]:
    """All laws, in graph order; inputs and outputs may not change."""
    for node in graph.nodes:
        yield from (replace(law, owner=node) for law in shifts_of(node))
    yield from laws_of_outputs(graph)


def shifts_of(node: Node) -> Iterator[Law]:
    """One operation's laws."""
    return laws_by(_FAMILIES, node)


def _bordered(node: Node) -> Iterator[Law] | None:
    """A border of one number stays where it is."""
    if not isinstance(node, Pad) or node.mode != "constant" or max(node.pads, default=0) <= 0:
        return None
    why = f"pad puts {node.value:g} around it"
    return (
        (kept if own.size == source.size else frozen)(port, why=why)
        for own, source in ((Port(node, i), Port(node.x, i)) for i in range(node.type.rank))
        for port in (own, source)
    )


_FAMILIES: Families = (
    elementwise_shifts, linear_shifts, across_laws, _bordered, movement_laws,
)  # fmt: skip
