"""Scaling classes: a basis of all positive scales that leave the graph as it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from qcompile.analysis.axes.layout import Layout
from qcompile.analysis.axes.null_space import Equation, null_space
from qcompile.ir.ops.source import Const


@dataclass(frozen=True)
class ScalingClass:
    """The exponent of one free scale on each leaf that changes with it, and the laws it meets."""

    exponents: dict[int, Fraction]
    columns: tuple[int, ...]


def scaling_classes(layout: Layout) -> list[ScalingClass]:
    """One for each free unknown of the laws' equations, by first leaf."""
    leaves = layout.leaves
    space = null_space(
        len(leaves),
        equations(layout),
        dependent=lambda leaf: isinstance(leaves[leaf].value, Const),
    )
    touching: list[list[int]] = [[] for _ in leaves]
    for number, column in enumerate(layout.columns):
        for leaf in column.leaves if column.law.rows else ():
            touching[leaf].append(number)
    found: list[ScalingClass] = []
    for exponents in space.basis.values():
        columns = dict.fromkeys(c for leaf in exponents for c in touching[leaf])
        found.append(ScalingClass(dict(exponents), tuple(columns)))
    return sorted(found, key=lambda own: min(own.exponents))


def equations(layout: Layout) -> Iterator[Equation]:
    """What the laws' rows demand of the leaves; all leaves of a broken law stay."""
    for column in layout.columns:
        if column.broken:
            yield from (((leaf, 1),) for leaf in column.leaves)
            continue
        for row in column.law.rows:
            terms = zip(column.leaves, row, strict=True)
            yield tuple((leaf, value) for leaf, value in terms if value)
