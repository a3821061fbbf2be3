"""The members of a site: one index set of one value, and where its elements lie."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.analysis.axes.layout import Layout, Leaf
from qcompile.analysis.axes.trees import Atom, Prod, Sum, Tree
from qcompile.ir.dims import Dim
from qcompile.ir.node import Node
from qcompile.ir.ops.source import Const
from qcompile.ir.types import Array

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Along:
    """An index set within an axis: the atom of this number in the axis's tree."""

    axis: int
    tree: Tree
    place: int

    @cached_property
    def coordinates(self) -> Indices:
        """For each index of the axis its index in the set; −1 where it lies outside."""
        return coordinates(self.tree, self.place)


@dataclass(frozen=True)
class Member:
    """A value that changes with a site, along one axis.

    `exponent`: for scales v · s^exponent; for matrices 1 is v T and −1 is v T^-T; for shifts
    v − exponent · z. `blocks` are the
    index sets along which each index has a map of its own.
    """

    value: Node
    along: Along
    size: int
    exponent: Fraction
    blocks: tuple[Along, ...]

    @property
    def axis(self) -> int:
        """The value's axis."""
        return self.along.axis

    @property
    def constant(self) -> Const | None:
        """The value, where it is a constant."""
        return self.value if isinstance(self.value, Const) else None

    def rows(self, array: Array) -> tuple[NDArray[Any], Indices]:
        """All vectors along the set, [rows, size], and the block that each belongs to."""
        moved = np.moveaxis(np.asarray(array), self.axis, -1)
        taken = moved[..., None, :] if self._is_whole else moved[..., self._positions]
        ids = np.broadcast_to(self._ids(taken.shape[:-2]), taken.shape[:-1])
        return taken.reshape(-1, self.size), ids.reshape(-1)

    def put(self, array: Array, rows: NDArray[Any]) -> NDArray[Any]:
        """A copy of the array with other vectors along the set, as `rows` gave them."""
        if self._is_whole:
            shape = np.moveaxis(np.asarray(array), self.axis, -1).shape
            return np.ascontiguousarray(np.moveaxis(rows.reshape(shape), -1, self.axis))
        result = np.array(np.moveaxis(np.asarray(array), self.axis, -1))
        positions = self._positions
        result[..., positions] = rows.reshape(*result.shape[:-1], *positions.shape)
        return np.ascontiguousarray(np.moveaxis(result, -1, self.axis))

    @cached_property
    def _is_whole(self) -> bool:
        """The set is the axis."""
        return isinstance(self.along.tree, Atom)

    @cached_property
    def _positions(self) -> Indices:
        """The axis's indices as [others, size]."""
        found = self.along.coordinates
        inside = np.flatnonzero(found >= 0)
        order = np.lexsort((found[inside], self._others(inside)))
        return inside[order].reshape(-1, self.size)

    def _others(self, inside: Indices) -> Indices:
        """A number for each index, equal where only the coordinate in the set differs."""
        return _rest(self.along.tree, self.along.place)[inside]

    def _ids(self, before: tuple[int, ...]) -> Indices:
        """The block number of each [..., others] row."""
        axes = [axis for axis in range(len(before) + 1) if axis != self.axis]
        first = self._positions[:, 0]
        ids = np.zeros((*(1,) * len(before), len(first)), np.int64)
        for block in self.blocks:
            count = int(block.coordinates.max()) + 1
            if block.axis == self.axis:
                own = block.coordinates[first]
            else:
                shape = [1] * (len(before) + 1)
                shape[axes.index(block.axis)] = -1
                own = block.coordinates.reshape(shape)
            ids = ids * count + own
        return ids


def coordinates(tree: Tree, place: int) -> Indices:
    """For each index of the tree's axis its index in one atom; −1 outside of its segment."""
    found = _coordinates(tree, place)
    return np.full(_number(tree.size), -1, np.int64) if found is None else found


def _coordinates(tree: Tree, place: int) -> Indices | None:
    match tree:
        case Atom(size=size, place=own):
            return np.arange(_number(size), dtype=np.int64) if own == place else None
        case Prod(parts=parts):
            sizes = [_number(p.size) for p in parts]
            for i, part in enumerate(parts):
                found = _coordinates(part, place)
                if found is not None:
                    return np.tile(np.repeat(found, prod(sizes[i + 1 :])), prod(sizes[:i]))
            return None
        case Sum(parts=parts):
            found = [_coordinates(part, place) for part in parts]
            if all(f is None for f in found):
                return None
            return np.concatenate(
                [
                    np.full(_number(p.size), -1, np.int64) if f is None else f
                    for p, f in zip(parts, found, strict=True)
                ]
            )


def _rest(tree: Tree, place: int) -> Indices:
    """For each index a number that does not tell its coordinate in one atom."""
    size = _number(tree.size)
    match tree:
        case Atom(place=own):
            return np.zeros(size, np.int64) if own == place else np.arange(size, dtype=np.int64)
        case Sum(parts=parts):
            shifts = np.cumsum([0, *(_number(p.size) for p in parts[:-1])])
            return np.concatenate(
                [shift + _rest(part, place) for shift, part in zip(shifts, parts, strict=True)]
            )
        case Prod(parts=parts):
            total = np.zeros(1, np.int64)
            for part in parts:
                inner = _rest(part, place)
                total = (total[:, None] * _number(part.size) + inner[None]).reshape(-1)
            return total


def member(layout: Layout, leaf: Leaf, exponent: Fraction, within: Sequence[int]) -> Member:
    """A leaf as a member; `within` are the kinds that have a map each."""
    trees = layout.trees
    of_kind = {
        other.kind: other
        for number in layout.of_value[leaf.value]
        if (other := layout.leaves[number]).branches <= leaf.branches and other != leaf
    }
    blocks = tuple(
        Along(other.axis, trees[leaf.value, other.axis], other.place)
        for other in (of_kind[kind] for kind in within)
    )
    along = Along(leaf.axis, trees[leaf.value, leaf.axis], leaf.place)
    return Member(leaf.value, along, _number(leaf.size), exponent, blocks)


def context(layout: Layout, numbers: Iterable[int], columns: Iterable[int]) -> tuple[int, ...]:
    """The kinds along which the maps on these leaves may differ, in the order of first use."""
    own = list(numbers)
    order = [
        leaf.kind
        for leaf in (layout.leaves[i] for i in layout.of_value[layout.leaves[own[0]].value])
    ]
    common = set(order)
    for number in own:
        common &= _beside(layout, number)
        if not common:
            return ()
    for column in columns:
        if column in layout.across:
            common &= layout.across[column]
    return tuple(kind for kind in dict.fromkeys(order) if kind in common)


def _beside(layout: Layout, number: int) -> set[int]:
    """The kinds of leaves that every element of this one has an index in, exactly one each."""
    leaf = layout.leaves[number]
    others = [
        other
        for i in layout.of_value[leaf.value]
        if i != number and not _apart(leaf, other := layout.leaves[i])
    ]
    kinds = [other.kind for other in others]
    return {
        other.kind
        for other in others
        if other.branches <= leaf.branches
        and other.kind != leaf.kind
        and kinds.count(other.kind) == 1
        and isinstance(other.size, int)
    }


def _apart(a: Leaf, b: Leaf) -> bool:
    """True when they lie in different segments of one axis: no element has an index in both."""
    places = {(axis, path): which for axis, path, which in a.branches}
    return any(places.get((axis, path), which) != which for axis, path, which in b.branches)


def _number(size: Dim) -> int:
    if not isinstance(size, int):
        raise AssertionError(f"an open length {size} has no indices")
    return size
