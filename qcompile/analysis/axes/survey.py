"""All sites of a graph, from the three analyses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import lcm

from qcompile.analysis.axes.blocker import Blocker
from qcompile.analysis.axes.laws.law import Group, Rows
from qcompile.analysis.axes.laws.shifts import shift_laws
from qcompile.analysis.axes.laws.table import graph_laws
from qcompile.analysis.axes.layout import Layout, Leaf, layout
from qcompile.analysis.axes.members import Member, context, member
from qcompile.analysis.axes.naming import named, role_of, value_names
from qcompile.analysis.axes.online import online_sites_of
from qcompile.analysis.axes.permutation import PermutationClass, permutation_classes
from qcompile.analysis.axes.rotation import RotationClass, rotation_classes
from qcompile.analysis.axes.scaling import ScalingClass, scaling_classes
from qcompile.analysis.axes.shifting import ShiftClass, fixed_leaves, shift_classes
from qcompile.analysis.axes.sites import (
    FixedEdge,
    OnlineSite,
    PermutationSite,
    RotationSite,
    ScalingSite,
    ShiftSite,
)
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.source import Const


@dataclass(frozen=True, eq=False)
class Survey:
    """What may act on the axes of one graph; each kind of site is worked out when asked for."""

    graph: Graph

    @cached_property
    def layout(self) -> Layout:
        """The graph's axes in atoms."""
        return layout(self.graph, graph_laws(self.graph))

    @cached_property
    def rotations(self) -> tuple[RotationSite, ...]:
        """Where a matrix may act."""
        return named(self.graph, [s for s in self._rotation_sites if s.group is not Group.NONE])

    @cached_property
    def refused_rotations(self) -> tuple[RotationSite, ...]:
        """Where one matrix would act, were it not for the blockers."""
        return named(self.graph, [s for s in self._rotation_sites if s.group is Group.NONE])

    @cached_property
    def onlines(self) -> tuple[OnlineSite, ...]:
        """Where a matrix may act at the price of an operation."""
        names = value_names(self.graph)
        return tuple(online_sites_of(self.graph, names, self._bound))

    @cached_property
    def _classes(self) -> list[RotationClass]:
        return rotation_classes(self.layout)

    @cached_property
    def _class_of(self) -> dict[int, RotationClass]:
        return {leaf: own for own in self._classes for leaf in own.signs}

    def _bound(self, value: Node, axis: int) -> tuple[Group, tuple[Blocker, ...]]:
        """What may act on the whole axis: the meet over its parts."""
        own = [i for i in self.layout.of_value[value] if self.layout.leaves[i].axis == axis]
        classes = [self._class_of[i] for i in own]
        group = min((c.group for c in classes), default=Group.NONE)
        reasons = (b for c in classes if c.group is group for b in c.blockers)
        return group, tuple(dict.fromkeys(reasons))

    @cached_property
    def _rotation_sites(self) -> tuple[RotationSite, ...]:
        found = [c for c in self._classes if _worthwhile(self.layout, c.signs)]
        return tuple(_rotation(self.layout, c) for c in found)

    @cached_property
    def scalings(self) -> tuple[ScalingSite, ...]:
        """Where a positive scale may act."""
        found = [c for c in scaling_classes(self.layout) if _worthwhile(self.layout, c.exponents)]
        sites = [(_scaling(self.layout, c), _kinds(self.layout, c)) for c in found]
        return named(self.graph, _without_special_cases(sites))

    @cached_property
    def permutations(self) -> tuple[PermutationSite, ...]:
        """Where another order may act."""
        found = [
            c
            for c in permutation_classes(self.layout)
            if not c.blockers and _worthwhile(self.layout, c.leaves)
        ]
        return named(self.graph, [_permutation(self.layout, c) for c in found])

    @cached_property
    def shift_layout(self) -> Layout:
        """The graph's axes in atoms, as the laws of shifts divide them."""
        return layout(self.graph, shift_laws(self.graph))

    @cached_property
    def _shift_classes(self) -> list[ShiftClass]:
        return shift_classes(self.shift_layout)

    @cached_property
    def shifts(self) -> tuple[ShiftSite, ...]:
        """Where a vector may be taken off."""
        own = self.shift_layout
        known = [c for c in self._shift_classes if _is_known(own, c.coefficients)]
        return named(self.graph, [_shift(own, c) for c in known])

    @cached_property
    def unshifted(self) -> tuple[FixedEdge, ...]:
        """What contractions read and no vector may be taken off, in graph order."""
        names, own = value_names(self.graph), self.shift_layout
        found: dict[tuple[Node, int], FixedEdge] = {}
        for number, blockers in fixed_leaves(own, self._shift_classes).items():
            value, axis = own.leaves[number].value, own.leaves[number].axis
            found.setdefault((value, axis), FixedEdge(names[value], value, axis, blockers))
        return tuple(found.values())


def _is_known(layout: Layout, numbers: Iterable[int]) -> bool:
    return all(isinstance(layout.leaves[i].size, int) for i in numbers)


def _worthwhile(layout: Layout, numbers: Iterable[int]) -> bool:
    """Some constant absorbs, some real value changes, and the length is known."""
    leaves = [layout.leaves[i] for i in numbers]
    constant = any(isinstance(leaf.value, Const) for leaf in leaves)
    computed = any(_is_edge(layout, i) for i in numbers)
    return constant and computed and all(isinstance(leaf.size, int) for leaf in leaves)


def _is_edge(layout: Layout, number: int) -> bool:
    value = layout.leaves[number].value
    return not isinstance(value, Const) and value.type.is_float


def _members(
    layout: Layout, exponents: Mapping[int, Fraction], columns: Iterable[int]
) -> tuple[tuple[int, ...], tuple[Member, ...]]:
    """(lengths of the blocks, members in graph order)."""
    numbers = sorted(exponents)
    within = context(layout, numbers, columns)
    members = tuple(member(layout, layout.leaves[i], exponents[i], within) for i in numbers)
    blocks = tuple(size for kind in within if isinstance(size := layout.sizes[kind], int))
    return blocks, members


def _rotation(layout: Layout, found: RotationClass) -> RotationSite:
    lead = min(i for i in found.signs if _is_edge(layout, i))
    exponents = {i: Fraction(sign * found.signs[lead]) for i, sign in found.signs.items()}
    blocks, members = _members(layout, exponents, found.columns)
    role = role_of(members) if found.group in (Group.ORTHOGONAL, Group.GENERAL) else ""
    size, reasons = members[0].size, tuple(found.blockers)
    return RotationSite("", role, size, blocks, members, found.group, reasons, found.within)


def _scaling(layout: Layout, found: ScalingClass) -> ScalingSite:
    lead = _lead(layout, found)
    turn = -1 / found.exponents[lead]
    relative = {i: value * turn for i, value in found.exponents.items()}
    whole = lcm(*(value.denominator for value in relative.values()))
    exponents = {i: value * whole for i, value in relative.items()}
    blocks, members = _members(layout, exponents, found.columns)
    edge = _member_of(layout.leaves[lead], members)
    return ScalingSite("", "", members[0].size, blocks, members, edge)


def _shift(layout: Layout, found: ShiftClass) -> ShiftSite:
    blocks, members = _members(layout, found.coefficients, found.columns)
    edge = _member_of(layout.leaves[found.lead], members)
    return ShiftSite("", "", members[0].size, blocks, members, edge)


def _member_of(leaf: Leaf, members: tuple[Member, ...]) -> Member:
    return next(
        m
        for m in members
        if m.value is leaf.value and m.along.place == leaf.place and m.axis == leaf.axis
    )


def _lead(layout: Layout, found: ScalingClass) -> int:
    """The first edge that a constant is contracted with; else the first edge."""
    edges = [i for i in sorted(found.exponents) if _is_edge(layout, i)]
    read: set[int] = set()
    for number in found.columns:
        column = layout.columns[number]
        constant = any(isinstance(layout.leaves[i].value, Const) for i in column.leaves)
        if (constant and -1 in column.law.signs) or (_is_dual(column.law.rows) and constant):
            read.update(column.leaves)
    return next((i for i in edges if i in read), edges[0])


def _is_dual(rows: Rows) -> bool:
    return rows == ((1, 1),)


def _kinds(layout: Layout, found: ScalingClass) -> frozenset[int]:
    numbers = sorted(found.exponents)
    own = {layout.leaves[i].kind for i in numbers}
    return frozenset(own | set(context(layout, numbers, found.columns)))


def _without_special_cases(
    sites: list[tuple[ScalingSite, frozenset[int]]],
) -> list[ScalingSite]:
    """Leaves out scales that another site's can be: on the same values, along fewer axes."""
    kept: dict[object, tuple[ScalingSite, frozenset[int]]] = {}
    for number, (site, kinds) in enumerate(sites):
        where = frozenset((m.value, m.exponent) for m in site.members)
        key: object = where
        other = kept.get(key)
        if other is None or other[1] <= kinds:
            kept[key] = site, kinds
        elif not kinds <= other[1]:
            kept[number] = site, kinds
    return [site for site, _ in kept.values()]


def _permutation(layout: Layout, found: PermutationClass) -> PermutationSite:
    exponents = dict.fromkeys(found.leaves, Fraction(1))
    blocks, members = _members(layout, exponents, found.columns)
    return PermutationSite("", "", members[0].size, blocks, members)
