"""Rewriting constants along the members of a site: in float64, rounded once, kept on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qcompile.analysis.axes.members import Indices, Member
from qcompile.analysis.axes.sites import Site
from qcompile.errors import UsageError
from qcompile.ir.blob import Blob, blob, spilled_blob
from qcompile.ir.graph import Graph
from qcompile.ir.ops.source import Const
from qcompile.ir.rewrite import rewrite
from qcompile.ir.types import Array
from qcompile.passes.weights import IN_MEMORY

AT_ONCE = 1 << 20  # elements of a slab along an axis that no change acts on
Change: TypeAlias = Callable[[Member, NDArray[Any], Indices], NDArray[Any]]
"""(member, vectors [rows, size], the block of each) → new vectors."""


def with_members(graph: Graph, site: Site, change: Change) -> Graph:
    """The graph with the site's constants rewritten; `UsageError` if they are not the graph's."""
    return with_changes(graph, [(site, change)])


def with_changes(graph: Graph, changes: Sequence[tuple[Site, Change]]) -> Graph:
    """The same for several sites of one graph, one after the other."""
    known = set(graph.constants)
    for site, _ in changes:
        foreign = [c for c in site.constants if c not in known]
        if foreign:
            raise UsageError(
                f"site {site.name} changes {foreign[0].name or 'a constant'}, which is no constant "
                f"of {graph.name}: find the sites of the graph that you change, after every change"
            )
    new = changed([(member, change) for site, change in changes for member in site.absorbs])
    return rewrite(graph, lambda node, at: new.get(node) if isinstance(node, Const) else None)


def changed(changes: Sequence[tuple[Member, Change]]) -> dict[Const, Const]:
    """The constants among the members, each with its changes made one after the other."""
    by_constant: dict[Const, list[tuple[Member, Change]]] = {}
    for member, change in changes:
        if member.constant is not None:
            by_constant.setdefault(member.constant, []).append((member, change))
    return {constant: _changed(constant, own) for constant, own in by_constant.items()}


def _changed(constant: Const, changes: list[tuple[Member, Change]]) -> Const:
    source, wide = constant.data, np.float64 if constant.elem.is_float else constant.data.dtype
    acted = {along.axis for m, _ in changes for along in (m.along, *m.blocks)}
    free = next((axis for axis in range(len(source.shape)) if axis not in acted), None)

    def one(values: NDArray[Any]) -> NDArray[Any]:
        values = values.astype(wide)
        for member, change in changes:
            rows, ids = member.rows(values)
            values = member.put(values, change(member, rows, ids))
        return values

    def load() -> Array:
        values = source.array()
        if free is None:
            return one(values).astype(source.dtype)
        result = np.empty(source.shape, source.dtype)
        each = max(AT_ONCE * source.shape[free] // max(source.size, 1), 1)
        for start in range(0, source.shape[free], each):
            slab = (*(slice(None),) * free, slice(start, start + each))
            result[slab] = one(values[slab])
        return result

    lazy = Blob(source.shape, source.dtype, load)
    data = blob(load()) if lazy.nbytes <= IN_MEMORY else spilled_blob(lazy)
    return Const(data, constant.elem, constant.unit, name=constant.name)
