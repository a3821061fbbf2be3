"""Matrices that cancel between constants spread outliers over all channels.

The sites are found by analysis; for each a policy proposes matrices, and the one that loses least
when the contractions around are quantized is taken, none among them: for block formats a rotation
can hurt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from qcompile.analysis.axes import Group, RotationSite, Survey
from qcompile.analysis.axes.members import Member
from qcompile.errors import UsageError
from qcompile.ir.graph import Graph
from qcompile.ir.types import Array
from qcompile.numerics.hadamard import construction
from qcompile.passes.base import Meaning, Pass
from qcompile.passes.each import Each, uncounted
from qcompile.passes.recipe import Recipe
from qcompile.passes.transforms.candidates import BLIND, POLICIES, Wanted
from qcompile.passes.transforms.constants import Change, with_changes
from qcompile.passes.transforms.judging import (
    Judges,
    Probes,
    after,
    judges,
    least,
    weight_errors,
)
from qcompile.passes.transforms.left_alone import left_alone, takes_any
from qcompile.passes.transforms.meetings import meetings
from qcompile.passes.transforms.notes import Note, untold
from qcompile.passes.transforms.probes import blank_probes, collect_probes
from qcompile.passes.transforms.products import collect_products, quantized_products
from qcompile.passes.transforms.smoothing import Seen, peaks
from qcompile.passes.transforms.statistics import collect_moments

UNSEEN = "no samples: judged by weights alone"
Sites = Mapping[RotationSite, Judges]


@dataclass(frozen=True)
class Rotate(Pass):
    """`policy` is one of `POLICIES`; `seed` draws the signs of Hadamard matrices, 0 for none, and
    the best of so many `draws` counts.

    Wants sites that are exposed: untied weights, norms without scales. `samples` show what the
    activations are, `recipe` the formats that contractions will have; `tell` hears what was chosen
    at each site, and what blocks those where nothing may act.

    Without samples a policy that looks at nothing else, `hadamard` or `block`, acts at every site,
    and the weights alone tell which of its matrices; another run would turn everything once more.
    The other policies then do nothing, and say so.
    """

    name: ClassVar[str] = "rotate"
    keeps: ClassVar[Meaning] = Meaning.CLOSELY

    policy: str = "best"
    seed: int = 1
    draws: int = 1
    samples: Sequence[Sequence[Array]] = field(default=(), repr=False)
    recipe: Recipe = field(default_factory=Recipe, repr=False)
    threads: int = field(default=1, repr=False)
    tell: Callable[[Note], None] = field(default=untold, repr=False)
    each: Each = field(default=uncounted, repr=False)

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise UsageError(f"rotate: no policy {self.policy!r}: give {', '.join(POLICIES)}")
        if self.draws < 1:
            raise UsageError(f"rotate: draws is {self.draws}: give 1 or more")

    def run(self, graph: Graph) -> Graph:
        """The same function; itself where no rotation gains."""
        survey = Survey(graph)
        reached = {site: judges(graph, site) for site in survey.rotations if takes_any(site)}
        sites = self._with_products(graph, reached)
        idle = [site for site, own in sites.items() if not (own.readers or own.products)]
        for site, reason in left_alone(survey, idle):
            self.tell(Note(self.name, site.name, site.role, reason=reason))
        sites = {site: own for site, own in sites.items() if site not in idle}
        if not sites:
            return graph
        changes = self._judged(graph, sites) if self.samples else self._unseen(graph, sites)
        return with_changes(graph, changes) if changes else graph

    def _with_products(self, graph: Graph, sites: Sites) -> Sites:
        """Sites that no weight reads with the products in which both of their factors meet."""
        quantized = quantized_products(graph, self.recipe)
        met = {s: () if own.readers else meetings(s, quantized) for s, own in sites.items()}
        wanted = {one.node: quantized[one.node] for found in met.values() for one in found}
        probes = collect_products(graph, wanted, self.samples, self.recipe)
        return {
            site: replace(own, products=tuple((one, probes[one.node]) for one in met[site]))
            for site, own in sites.items()
        }

    def _judged(self, graph: Graph, sites: Sites) -> list[tuple[RotationSite, Change]]:
        """What loses least on the samples, site by site, each after those before it."""
        nodes = [node for own in sites.values() for node in own.nodes]
        probes: Probes = collect_probes(graph, nodes, self.samples, self.recipe, self.each)
        looks = self.policy not in BLIND
        edges = [_edges(own) if looks else [] for own in sites.values()]
        moments = collect_moments(graph, edges, self.samples, threads=self.threads)
        changes: list[tuple[RotationSite, Change]] = []
        judged = [site for site, own in sites.items() for _ in range(own.count)]
        done = iter(self.each(judged, "rotating at sites"))
        for (site, own), known in zip(sites.items(), moments, strict=True):
            wanted = replace(self._wanted(site, own, probes), moments=known)
            seen = _seen(site, own, probes)
            found = self._choose(site, own, replace(wanted, seen=seen), probes, done)
            if found is not None:
                changes.append((site, found))
                probes = after(probes, site, found)
        return changes

    def _choose(
        self,
        site: RotationSite,
        own: Judges,
        wanted: Wanted,
        probes: Probes,
        done: Iterator[object],
    ) -> Change | None:
        """The best candidate's change; None where no candidate gains."""
        found = list(POLICIES[self.policy](wanted))
        tried = [(one.words, one.change) for one in found]
        begun = Note(self.name, site.name, site.role)
        change, note = least(own, probes, tried, begun, lambda: next(done, None))
        orders = {one.words: one.order for one in found}
        self.tell(replace(note, reason=_made(orders.get(note.choice, 0))))
        return change

    def _unseen(self, graph: Graph, sites: Sites) -> list[tuple[RotationSite, Change]]:
        """The candidate after which the weights alone lose least, at every site."""
        if self.policy not in BLIND:
            reason = f"policy {self.policy} looks at activations: give samples"
            self.tell(Note(self.name, "", "", reason=reason))
            return []
        nodes = [node for own in sites.values() for node in own.nodes]
        probes = blank_probes(graph, nodes, self.recipe)
        changes: list[tuple[RotationSite, Change]] = []
        for site, own in self.each(list(sites.items()), "rotating at sites"):
            tried = list(POLICIES[self.policy](self._wanted(site, own, probes)))
            if not tried:
                reason = f"no Hadamard matrix for {site.size} channels"
                self.tell(Note(self.name, site.name, site.role, reason=reason))
                continue
            before, found = weight_errors(own, probes, [one.change for one in tried])
            best = min(range(len(tried)), key=found.__getitem__)
            chosen, reason = tried[best], f"{_made(tried[best].order)}; {UNSEEN}"
            note = Note(self.name, site.name, site.role, chosen.words, before, found[best], reason)
            self.tell(note)
            changes.append((site, chosen.change))
            probes = after(probes, site, chosen.change)
        return changes

    def _wanted(self, site: RotationSite, own: Judges, probes: Probes) -> Wanted:
        """What policies know without samples."""
        groups = {probes[r.node].widths.group for r in own.readers}
        lengths = tuple(sorted(group for group in groups if group is not None))
        return Wanted(site.size, site.count, None, self.seed, groups=lengths, draws=self.draws)


def _made(order: int) -> str:
    """How the matrix is made; nothing where none is."""
    return construction(order) if order else ""


def _edges(own: Judges) -> list[Member]:
    """What is read, and the factors that meet."""
    met = [member for meeting, _ in own.products for member in meeting.members]
    return [r.edge for r in own.readers] + met


def _seen(site: RotationSite, own: Judges, probes: Probes) -> Seen | None:
    """Channels of what is read, and of the weights that read it, where scales may act."""
    if site.group is not Group.GENERAL or not own.readers:
        return None
    if any(r.edge.exponent != 1 for r in own.readers):
        return None
    shape = (site.count, site.size)
    found = [probes[r.node] for r in own.readers]
    pairs = list(zip(own.readers, found, strict=True))
    largest = [peaks(r.edge.rows(x), shape) for r, probe in pairs for x in probe.operands]
    read = np.maximum.reduce([peaks(r.weight.rows(p.weights), shape) for r, p in pairs])
    top = np.maximum.reduce(largest)
    return Seen(top, top, read, np.ones(shape))
