"""Scales between two computed factors: queries and keys, what enters a state and what leaves it.

No weight reads such a site, so `Smooth` has no error of a contraction to judge it by; here the
ranges of all values that change with it are made as even as one scale can make them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from qcompile.analysis.axes import ScalingSite, scaling_sites
from qcompile.ir.graph import Graph
from qcompile.ir.types import Array
from qcompile.passes.base import Meaning, Pass
from qcompile.passes.transforms.changes import scaling
from qcompile.passes.transforms.constants import Change, with_changes
from qcompile.passes.transforms.evenness import Edge, balanced, computed, edge, relative_error
from qcompile.passes.transforms.notes import Note, untold
from qcompile.passes.transforms.readers import readers
from qcompile.passes.transforms.statistics import collect_channels

WORTH = 0.9  # of the error: what is less even by chance stays


@dataclass(frozen=True)
class Balance(Pass):
    """`samples` show how large the values are; `tell` hears what was chosen at each site."""

    name: ClassVar[str] = "balance"
    keeps: ClassVar[Meaning] = Meaning.CLOSELY

    samples: Sequence[Sequence[Array]] = field(default=(), repr=False)
    threads: int = field(default=1, repr=False)
    tell: Callable[[Note], None] = field(default=untold, repr=False)

    def run(self, graph: Graph) -> Graph:
        """The same function; itself where all is even, or nothing shows activations."""
        if not self.samples:
            return graph
        sites = [site for site in scaling_sites(graph) if not readers(graph, site)]
        members = [m for site in sites for m in computed(site)]
        if not members:
            return graph
        seen = iter(collect_channels(graph, members, self.samples, threads=self.threads))
        changes: list[tuple[ScalingSite, Change]] = []
        for site in sites:
            found = self._choose(site, [edge(m, next(seen)) for m in computed(site)])
            if found is not None:
                changes.append((site, found))
        return with_changes(graph, changes) if changes else graph

    def _choose(self, site: ScalingSite, edges: Sequence[Edge]) -> Change | None:
        s = balanced(edges)
        before, after = relative_error(edges, np.ones_like(s)), relative_error(edges, s)
        gains = after < before * WORTH
        words = "even ranges" if gains else "none"
        self.tell(Note(self.name, site.name, site.role, words, before, after if gains else before))
        return scaling(s) if gains else None
