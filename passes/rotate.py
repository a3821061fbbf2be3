"""Matrices that cancel between constants spread outliers over all channels.

The sites are found by analysis; for each a policy proposes matrices, and the one that loses least
when the contractions around are quantized is taken, none among them: for block formats a rotation
can hurt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from qcompile.analysis.axes import Group, RotationSite, rotation_sites
from qcompile.errors import UsageError
from qcompile.ir.graph import Graph
from qcompile.ir.types import Array
from qcompile.passes.base import Meaning, Pass
from qcompile.passes.each import Each, uncounted
from qcompile.passes.recipe import Recipe
from qcompile.passes.transforms.candidates import BLIND, POLICIES, Wanted
from qcompile.passes.transforms.constants import Change, with_changes
from qcompile.passes.transforms.judging import Judges, Probes, after, judges, least
from qcompile.passes.transforms.notes import Note, untold
from qcompile.passes.transforms.probes import collect_probes
from qcompile.passes.transforms.smoothing import Seen, peaks
from qcompile.passes.transforms.statistics import collect_moments

LEAST = 4  # channels worth a rotation


@dataclass(frozen=True)
class Rotate(Pass):
    """`policy` is one of `POLICIES`; `seed` draws the signs of Hadamard matrices, 0 for none.

    Wants sites that are exposed: untied weights, norms without scales. `samples` show what the
    activations are, `recipe` the formats that contractions will have; `tell` hears what was chosen.
    """

    name: ClassVar[str] = "rotate"
    keeps: ClassVar[Meaning] = Meaning.CLOSELY

    policy: str = "best"
    seed: int = 1
    samples: Sequence[Sequence[Array]] = field(default=(), repr=False)
    recipe: Recipe = field(default_factory=Recipe, repr=False)
    threads: int = field(default=1, repr=False)
    tell: Callable[[Note], None] = field(default=untold, repr=False)
    each: Each = field(default=uncounted, repr=False)

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise UsageError(f"rotate: no policy {self.policy!r}: give {', '.join(POLICIES)}")

    def run(self, graph: Graph) -> Graph:
        """The same function; itself where no rotation gains, or nothing shows activations."""
        if not self.samples:
            return graph
        sites = {site: judges(graph, site) for site in rotation_sites(graph) if _takes_any(site)}
        sites = {site: own for site, own in sites.items() if own.readers}
        if not sites:
            return graph
        nodes = [node for own in sites.values() for node in own.nodes]
        probes = collect_probes(graph, nodes, self.samples, self.recipe)
        looks = self.policy not in BLIND
        edges = [[r.edge for r in own.readers if looks] for own in sites.values()]
        moments = collect_moments(graph, edges, self.samples, threads=self.threads)
        changes: list[tuple[RotationSite, Change]] = []
        pairs = list(zip(sites.items(), moments, strict=True))
        for (site, own), known in self.each(pairs, "rotating at sites"):
            wanted = Wanted(site.size, site.count, known, self.seed, _seen(site, own, probes))
            found = self._choose(site, own, wanted, probes)
            if found is not None:
                changes.append((site, found))
                probes = after(probes, site, found)
        return with_changes(graph, changes) if changes else graph

    def _choose(
        self, site: RotationSite, own: Judges, wanted: Wanted, probes: Probes
    ) -> Change | None:
        """The best candidate's change; None where no candidate gains."""
        tried = [(one.words, one.change) for one in POLICIES[self.policy](wanted)]
        change, note = least(own, probes, tried, Note(self.name, site.name, site.role))
        self.tell(note)
        return change


def _takes_any(site: RotationSite) -> bool:
    """Every orthogonal matrix may act, and there are channels to mix."""
    return site.group in (Group.ORTHOGONAL, Group.GENERAL) and site.size >= LEAST


def _seen(site: RotationSite, own: Judges, probes: Probes) -> Seen | None:
    """Channels of what is read, and of the weights that read it, where scales may act."""
    if site.group is not Group.GENERAL or any(r.edge.exponent != 1 for r in own.readers):
        return None
    shape = (site.count, site.size)
    found = [probes[r.node] for r in own.readers]
    pairs = list(zip(own.readers, found, strict=True))
    largest = [peaks(r.edge.rows(x), shape) for r, probe in pairs for x in probe.operands]
    read = np.maximum.reduce([peaks(r.weight.rows(p.weights), shape) for r, p in pairs])
    top = np.maximum.reduce(largest)
    return Seen(top, top, read, np.ones(shape))
