"""Scales between two computed factors: queries and keys, what enters a state and what leaves it.

No weight reads such a site, so `Smooth` has no error of a contraction to judge it by; here it is
the error of the product in which both factors meet that decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from qcompile.analysis.axes import ScalingSite, scaling_sites
from qcompile.ir.graph import Graph
from qcompile.ir.types import Array
from qcompile.passes.base import Meaning, Pass
from qcompile.passes.recipe import Recipe
from qcompile.passes.transforms.changes import scaling
from qcompile.passes.transforms.constants import Change, with_changes
from qcompile.passes.transforms.evenness import Edge, balanced, edge
from qcompile.passes.transforms.judging import turned
from qcompile.passes.transforms.meetings import Meeting, meetings
from qcompile.passes.transforms.notes import Note, unseen, untold
from qcompile.passes.transforms.products import ProductProbe, collect_products, quantized_products
from qcompile.passes.transforms.readers import readers
from qcompile.passes.transforms.statistics import collect_channels

WORTH = 0.9  # of the error: what is less even by chance stays
IDLE = "nothing that meets here is quantized"


@dataclass(frozen=True)
class Balance(Pass):
    """`samples` show how large the values are, `recipe` the formats that products will have; `tell`
    hears what was chosen at each site."""

    name: ClassVar[str] = "balance"
    keeps: ClassVar[Meaning] = Meaning.CLOSELY

    samples: Sequence[Sequence[Array]] = field(default=(), repr=False)
    recipe: Recipe = field(default_factory=Recipe, repr=False)
    threads: int = field(default=1, repr=False)
    tell: Callable[[Note], None] = field(default=untold, repr=False)

    def run(self, graph: Graph) -> Graph:
        """The same function; itself where all is even, or nothing shows activations."""
        if not self.samples:
            self.tell(unseen(self.name))
            return graph
        sites = [site for site in scaling_sites(graph) if not readers(graph, site)]
        if not sites:
            return graph
        products = quantized_products(graph, self.recipe)
        met = {site: meetings(site, products) for site in sites}
        members = [m for own in met.values() for one in own for m in one.members]
        chosen = {one.node: products[one.node] for own in met.values() for one in own}
        stats = (
            collect_channels(graph, members, self.samples, threads=self.threads) if members else []
        )
        seen, probes = iter(stats), collect_products(graph, chosen, self.samples, self.recipe)
        changes: list[tuple[ScalingSite, Change]] = []
        for site, own in met.items():
            edges = [edge(m, next(seen)) for one in own for m in one.members]
            found = self._choose(site, edges, [(one, probes[one.node]) for one in own])
            if found is not None:
                changes.append((site, found))
        return with_changes(graph, changes) if changes else graph

    def _choose(
        self,
        site: ScalingSite,
        edges: Sequence[Edge],
        own: Sequence[tuple[Meeting, ProductProbe]],
    ) -> Change | None:
        if not own:
            self.tell(Note(self.name, site.name, site.role, "none", reason=IDLE))
            return None
        change = scaling(balanced(edges))
        before = sum(probe.error(probe.factors) for _, probe in own)
        after = sum(p.error(turned(met, p.factors, change)) for met, p in own)
        gains = after < before * WORTH
        words = "even ranges" if gains else "none"
        self.tell(Note(self.name, site.name, site.role, words, before, after if gains else before))
        return change if gains else None
