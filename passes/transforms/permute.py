"""v → v with its indices in another order at a permutation site."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.analysis.axes.members import Indices, Member
from qcompile.analysis.axes.sites import PermutationSite
from qcompile.errors import UsageError
from qcompile.ir.graph import Graph
from qcompile.passes.transforms.constants import with_members


def permuted(graph: Graph, site: PermutationSite, order: NDArray[Any]) -> Graph:
    """The same function; index i of the set becomes what index order[i] was. No number changes.

    `order` is [size], or [count, size] with one row for each block. `UsageError` unless each row
    holds every index once.
    """
    found = np.asarray(order)
    if found.shape not in ((site.size,), (site.count, site.size)):
        raise UsageError(
            f"site {site.name} takes an order of {site.size} indices, or [{site.count}, "
            f"{site.size}], got {list(found.shape)}"
        )
    stack = found.reshape(-1, site.size).astype(np.int64)
    if not (np.sort(stack, axis=1) == np.arange(site.size)).all():
        raise UsageError(f"site {site.name}: an order holds every index below {site.size} once")

    def change(member: Member, rows: NDArray[Any], ids: Indices) -> NDArray[Any]:
        own = np.broadcast_to(stack, rows.shape) if len(stack) == 1 else stack[ids]
        return np.take_along_axis(rows, own, axis=1)

    return with_members(graph, site, change)
