"""Which linear maps may act on the axes of a graph without changing what it computes.

Two tables tell the laws of each operation (`laws`); four analyses solve them for matrices, for
positive scales, for permutations and for shifts. Nothing here knows a family of models.
"""

from __future__ import annotations

from qcompile.analysis.axes.described import Description, described
from qcompile.analysis.axes.laws.law import Group
from qcompile.analysis.axes.sites import (
    OnlineSite,
    PermutationSite,
    RotationSite,
    ScalingSite,
    ShiftSite,
    Site,
)
from qcompile.analysis.axes.survey import Survey
from qcompile.ir.graph import Graph

__all__ = [
    "Description",
    "Group",
    "OnlineSite",
    "PermutationSite",
    "RotationSite",
    "ScalingSite",
    "ShiftSite",
    "Site",
    "Survey",
    "described",
    "online_sites",
    "permutation_sites",
    "rotation_sites",
    "scaling_sites",
    "shift_sites",
]


def rotation_sites(graph: Graph) -> tuple[RotationSite, ...]:
    """The classes of axes that one matrix may act on, in graph order."""
    return Survey(graph).rotations


def scaling_sites(graph: Graph) -> tuple[ScalingSite, ...]:
    """A basis of the positive scales that may act, in graph order."""
    return Survey(graph).scalings


def shift_sites(graph: Graph) -> tuple[ShiftSite, ...]:
    """A basis of the vectors that may be taken off values, in graph order."""
    return Survey(graph).shifts


def permutation_sites(graph: Graph) -> tuple[PermutationSite, ...]:
    """The classes of axes that may be put in another order, in graph order."""
    return Survey(graph).permutations


def online_sites(graph: Graph) -> tuple[OnlineSite, ...]:
    """The inputs of contractions that a matrix reaches only by an operation, in graph order."""
    return Survey(graph).onlines
