"""Permutation classes: leaves of one index set, unless something counts their indices."""

from __future__ import annotations

from dataclasses import dataclass, field

from qcompile.analysis.axes.blocker import Blocker
from qcompile.analysis.axes.layout import Layout


@dataclass
class PermutationClass:
    """Leaves of one kind, the laws they meet and what forbids any other order."""

    leaves: list[int] = field(default_factory=list[int])
    columns: list[int] = field(default_factory=list[int])
    blockers: list[Blocker] = field(default_factory=list[Blocker])


def permutation_classes(layout: Layout) -> list[PermutationClass]:
    """All classes, by their first leaf. One order serves all leaves of a kind."""
    found: dict[int, PermutationClass] = {}
    for number, leaf in enumerate(layout.leaves):
        found.setdefault(leaf.kind, PermutationClass()).leaves.append(number)
    for number, column in enumerate(layout.columns):
        for kind in {layout.leaves[leaf].kind for leaf in column.leaves}:
            found[kind].columns.append(number)
            if column.broken or not column.law.permutes:
                found[kind].blockers.append(Blocker(column.law.node, column.law.why))
    return list(found.values())
