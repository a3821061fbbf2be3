"""Activations are divided by scales that go into the weights around, where that is exact.

The sites are found by analysis; a policy proposes scales for each, and the one that loses least
when the contractions behind it, and what is multiplied in front of them, are quantized is taken,
none among them. Some policies centre channels first, where biases can take that up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from qcompile.analysis.axes import ScalingSite, scaling_sites
from qcompile.analysis.axes.members import Member
from qcompile.calibrate.channels import Channels
from qcompile.errors import UsageError
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Minimum
from qcompile.ir.types import Array
from qcompile.passes.base import Meaning, Pass
from qcompile.passes.demand import demand, observed_widths
from qcompile.passes.each import Each, uncounted
from qcompile.passes.recipe import Recipe
from qcompile.passes.transforms.changes import scaling
from qcompile.passes.transforms.constants import Change, with_changes
from qcompile.passes.transforms.factors import Factor, factors, shares
from qcompile.passes.transforms.judging import Judges, Probes, after, least
from qcompile.passes.transforms.notes import Note, unseen, untold
from qcompile.passes.transforms.probes import collect_probes
from qcompile.passes.transforms.readers import Reader, Writer, readers, writers
from qcompile.passes.transforms.shift import shifted
from qcompile.passes.transforms.shifting import Chooser
from qcompile.passes.transforms.smoothing import CENTRING, POLICIES, Seen, believable, peaks
from qcompile.passes.transforms.statistics import collect_channels

Values = NDArray[Any]


@dataclass(frozen=True)
class Smooth(Pass):
    """`policy` is one of `POLICIES`; `alpha` its strength, searched for each site when None.

    `samples` show what the activations are, `recipe` the formats that contractions will have.
    `tell` hears what was chosen at each site.
    """

    name: ClassVar[str] = "smooth"
    keeps: ClassVar[Meaning] = Meaning.CLOSELY

    policy: str = "smoothquant"
    alpha: float | None = None
    samples: Sequence[Sequence[Array]] = field(default=(), repr=False)
    recipe: Recipe = field(default_factory=Recipe, repr=False)
    threads: int = field(default=1, repr=False)
    tell: Callable[[Note], None] = field(default=untold, repr=False)
    each: Each = field(default=uncounted, repr=False)

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise UsageError(f"smooth: no policy {self.policy!r}: give {', '.join(POLICIES)}")
        if self.alpha is not None and not 0 <= self.alpha <= 1:
            raise UsageError(f"smooth: alpha is {self.alpha}: give 0 to 1")

    def run(self, graph: Graph) -> Graph:
        """The same function; itself where no scale gains anything, or nothing shows activations."""
        if not self.samples:
            self.tell(unseen(self.name))
            return graph
        if self.policy in CENTRING:
            moves = self._chooser().shifts(graph)
            graph = shifted(graph, moves) if moves else graph
        return self._scaled(graph)

    def _chooser(self) -> Chooser:
        policy, centres = POLICIES[self.policy], CENTRING[self.policy]
        samples, recipe = self.samples, self.recipe
        return Chooser(policy, centres, samples, recipe, self.threads, self.tell, self.each)

    def _scaled(self, graph: Graph) -> Graph:
        sites = _apart({site: readers(graph, site) for site in scaling_sites(graph)})
        if not sites:
            return graph
        bits = observed_widths(demand(graph, self.recipe))
        met = {site: factors(site, own, bits) for site, own in sites.items()}
        edges = {site: [*_edges(site, own), *met[site]] for site, own in sites.items()}
        every = [edge for own in edges.values() for edge in own]
        seen = iter(collect_channels(graph, every, self.samples, threads=self.threads))
        nodes = [r.node for own in sites.values() for r in own]
        probes = collect_probes(graph, nodes, self.samples, self.recipe, self.each)
        changes: list[tuple[ScalingSite, Change]] = []
        for site, own in self.each(list(sites.items()), "smoothing at sites"):
            stats = {edge: next(seen) for edge in edges[site]}
            made = [_own(w, probes) for w in writers(graph, site)]
            views = [_seen(site, own, each, made, probes) for each in stats.values()]
            found = self._choose(site, _judged(site, own, met[site], stats, probes), views, probes)
            if found is not None:
                changes.append((site, found))
                probes = after(probes, site, found)
        return with_changes(graph, changes) if changes else graph

    def _choose(
        self, site: ScalingSite, own: Judges, views: Sequence[Seen], probes: Probes
    ) -> Change | None:
        """The best candidate's change; None where no candidate gains."""
        policy = POLICIES[self.policy]
        candidates = (candidate for seen in views for candidate in policy(seen, self.alpha))
        tried = [(one.words, scaling(one.scales)) for one in candidates]
        change, note = least(own, probes, tried, Note(self.name, site.name, site.role))
        self.tell(note)
        return change


def _judged(
    site: ScalingSite,
    own: Sequence[Reader],
    met: Mapping[Member, int],
    stats: Mapping[Member, Sequence[Channels]],
    probes: Probes,
) -> Judges:
    """What reads the site, and factors of what is read with so many steps each."""
    if not met:
        return Judges(tuple(own))
    parts = shares(site, own, probes)
    found = [(Factor(m, tuple(stats[m]), steps), parts) for m, steps in met.items()]
    return Judges(tuple(own), factors=tuple(found))


def _apart(
    sites: Mapping[ScalingSite, tuple[Reader, ...]],
) -> dict[ScalingSite, tuple[Reader, ...]]:
    """Those that are read; of several that scale the same edges the one with fewest constants."""
    first: dict[frozenset[Node], ScalingSite] = {}
    for site in sorted(sites, key=lambda own: len(own.constants)):
        first.setdefault(frozenset(r.edge.value for r in sites[site]), site)
    kept = set(first.values())
    return {site: found for site, found in sites.items() if found and site in kept}


def _edges(site: ScalingSite, own: Sequence[Reader]) -> list[Member]:
    """What is read, each value once: any of them may be the one to smooth."""
    found = {r.edge.value: r.edge for r in own if r.edge.exponent == site.lead.exponent}
    return list(found.values()) or [site.lead]


def _seen(
    site: ScalingSite,
    own: Sequence[Reader],
    stats: Sequence[Channels],
    made: Sequence[tuple[Values, Values]],
    probes: Probes,
) -> Seen:
    """What a policy looks at."""
    shape = (site.count, site.size)
    read = [peaks(r.weight.rows(probes[r.node].weights), shape) for r in own]
    largest = _stacked([s.largest for s in stats], shape)
    return Seen(
        believable(largest) if _bounded(site) else largest,
        _stacked([s.magnitude for s in stats], shape),
        np.maximum.reduce(read),
        np.maximum.reduce([peaks(rows, shape) for rows in made]) if made else np.ones(shape),
    )


def _bounded(site: ScalingSite) -> bool:
    """A bound of its own holds each channel: other samples may take it there."""
    return any(isinstance(edge.value, Minimum) for edge in site.edges)


def _own(writer: Writer, probes: Probes) -> tuple[Values, Values]:
    """The channels of its weight as it is by now, and the block of each."""
    found = probes.get(writer.node)
    weights = writer.weight.value.evaluate() if found is None else found.weights
    return writer.weight.rows(weights)


def _stacked(blocks: Sequence[Values], shape: tuple[int, int]) -> Values:
    return np.broadcast_to(np.stack(blocks), shape)
