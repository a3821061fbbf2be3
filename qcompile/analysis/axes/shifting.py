"""Shift classes: a basis of all vectors that may be added and leave the graph as it is."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from qcompile.analysis.axes.blocker import Blocker
from qcompile.analysis.axes.laws.shifts_linear import shifted_input
from qcompile.analysis.axes.layout import Column, Layout
from qcompile.analysis.axes.null_space import null_space
from qcompile.analysis.axes.scaling import equations
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.source import Const

PER_EDGE = 3


@dataclass(frozen=True)
class ShiftClass:
    """The coefficient of one free shift on each leaf that changes with it, and the laws it meets.

    `lead` is a leaf that a contraction reads, of coefficient 1.
    """

    coefficients: dict[int, Fraction]
    columns: tuple[int, ...]
    lead: int


def shift_classes(layout: Layout) -> list[ShiftClass]:
    """One for each free unknown that a contraction reads, by its first such leaf."""
    read = _read(layout)
    space = null_space(len(layout.leaves), equations(layout), dependent=lambda i: i not in read)
    touching: list[list[int]] = [[] for _ in layout.leaves]
    for number, column in enumerate(layout.columns):
        for leaf in column.leaves:
            touching[leaf].append(number)
    found: list[ShiftClass] = []
    for basis in space.basis.values():
        lead = min((leaf for leaf in basis if leaf in read), default=None)
        if lead is not None:
            own = {leaf: value / basis[lead] for leaf, value in basis.items()}
            columns = dict.fromkeys(c for leaf in own for c in touching[leaf])
            found.append(ShiftClass(own, tuple(columns), lead))
    return sorted(found, key=lambda own: own.lead)


def fixed_leaves(layout: Layout, classes: list[ShiftClass]) -> dict[int, tuple[Blocker, ...]]:
    """Leaves of axes that contractions read and no shift reaches, with what holds them."""
    every = [layout.leaves[leaf] for own in classes for leaf in own.coefficients]
    moved = {(leaf.value, leaf.axis) for leaf in every}
    touching: dict[int, list[Column]] = {}
    for column in layout.columns:
        for leaf in column.leaves:
            touching.setdefault(leaf, []).append(column)
    edges = {_edge(node) for node in layout.graph.nodes} - moved
    fixed = (i for i, leaf in enumerate(layout.leaves) if (leaf.value, leaf.axis) in edges)
    return {leaf: _reasons(leaf, touching) for leaf in fixed}


def _edge(node: Node) -> tuple[Node, int] | None:
    """What a contraction with a constant sums over."""
    match node:
        case Conv(x=x, w=Const()) | ConvTranspose(x=x, w=Const()):
            return x, 1
        case MatMul(a=a, b=Const()):
            return a, a.type.rank - 1
        case _:
            return None


def _reasons(start: int, touching: dict[int, list[Column]]) -> tuple[Blocker, ...]:
    """Of the laws nearest to a leaf those that let nothing pass."""
    seen, front = {start}, [start]
    while front:
        columns = [column for leaf in front for column in touching.get(leaf, [])]
        found = [Blocker(c.law.node, c.law.why) for c in columns if c.broken or c.law.why]
        if found:
            return tuple(dict.fromkeys(found))[:PER_EDGE]
        front = list(dict.fromkeys(o for c in columns for o in c.leaves if o not in seen))
        seen.update(front)
    return ()


def _read(layout: Layout) -> set[int]:
    """Leaves of values that a contraction sums over, its bias free to take up a shift."""
    ports = {port for node in layout.graph.nodes if (port := shifted_input(node)) is not None}
    edges = {(port.value, port.axis) for port in ports}
    return {i for i, leaf in enumerate(layout.leaves) if (leaf.value, leaf.axis) in edges}
