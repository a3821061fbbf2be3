"""Which shifts help: channels whose middles lie apart lose less when each is centred first.

The middle of a channel is (greatest + least) / 2: Outlier Suppression+ (arXiv 2304.09145), section
4.2. A shift is judged together with the scales that may follow it, and taken where the least that
is lost with it is less than the least that is lost without.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.analysis.axes import ScalingSite, ShiftSite, Survey
from qcompile.analysis.axes.laws.law import Port
from qcompile.analysis.axes.laws.shifts_linear import shifted_input
from qcompile.analysis.axes.members import Member
from qcompile.calibrate.channels import Channels
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.types import Array
from qcompile.passes.each import Each
from qcompile.passes.recipe import Recipe
from qcompile.passes.transforms.changes import scaling, shifting
from qcompile.passes.transforms.judging import JUDGES, WORTH, Judges, errors
from qcompile.passes.transforms.notes import Note
from qcompile.passes.transforms.probes import Probe, collect_probes
from qcompile.passes.transforms.readers import Contraction, Reader, readers
from qcompile.passes.transforms.smoothing import Candidate, Policy, Seen, peaks
from qcompile.passes.transforms.statistics import collect_channels

Values = NDArray[Any]


@dataclass(frozen=True)
class Chooser:
    """Tries scales of `policy` behind each shift; `tell` hears what was chosen at each site."""

    policy: Policy
    centres: Sequence[str]
    samples: Sequence[Sequence[Array]]
    recipe: Recipe
    threads: int
    tell: Callable[[Note], None]
    each: Each

    def shifts(self, graph: Graph) -> list[tuple[ShiftSite, Values]]:
        """The sites of a graph where a shift loses less, each with its z."""
        survey = Survey(graph)
        sites = {site: own for site in survey.shifts if (own := _read(graph, site))}
        if not sites:
            return []
        scales = _scales(graph, survey.scalings)
        edges = [member for own in sites.values() for member, _ in own]
        seen = iter(collect_channels(graph, edges, self.samples, threads=self.threads))
        nodes = [node for own in sites.values() for _, node in own]
        probes = collect_probes(graph, nodes, self.samples, self.recipe, self.each)
        found: list[tuple[ShiftSite, Values]] = []
        for site, own in self.each(list(sites.items()), "shifting at sites"):
            views = [next(seen) for _ in own]
            places = [_Place(m, probes[node], scales.get(node)) for m, node in own]
            z = self._choose(site, places, views)
            if z is not None:
                found.append((site, z))
        return found

    def _choose(
        self, site: ShiftSite, places: Sequence[_Place], views: Sequence[Sequence[Channels]]
    ) -> Values | None:
        """The z of the centring that loses least; None where none gains."""
        shape = (site.count, site.size)
        before, without = self._least(places, None)
        tried = {name: CENTRES[name](places, views, shape) for name in self.centres}
        losses = {name: self._least(places, z)[1] for name, z in tried.items()}
        best = min(losses, key=losses.__getitem__)
        note = Note("smooth", site.name, site.role, "none", before, without)
        if losses[best] >= without * WORTH:
            self.tell(note)
            return None
        self.tell(replace(note, choice=f"shift by {best}s", after=losses[best]))
        return tried[best]

    def _least(self, places: Sequence[_Place], z: Values | None) -> tuple[float, float]:
        """What is lost as it is, and with the best scales, behind a shift."""
        moved = [place if z is None else place.shifted(z) for place in places]
        candidates = self._candidates(moved)
        signals = [place.power() for place in places]
        rows = [
            np.array(place.losses(candidates)) * (place.power() / signal if signal > 0 else 1.0)
            for place, signal in zip(moved, signals, strict=True)
        ]
        total = np.sum(rows, axis=0)
        return float(total[0]), float(total.min())

    def _candidates(self, places: Sequence[_Place]) -> list[Candidate]:
        """Scales that all of the places take; none where one takes none."""
        own = [place.reader for place in places if place.reader is not None]
        if len(own) < len(places) or len({r.edge.value for r in own}) > 1:
            return []
        edge = own[0].edge
        shape = (prod(int(b.coordinates.max()) + 1 for b in edge.blocks), edge.size)
        largest = np.maximum.reduce([p.peaks_of_edge(shape) for p in places])
        read = [p.peaks_of_weight(shape) for p in places]
        ones = np.ones(shape)
        return list(self.policy(Seen(largest, largest, np.maximum.reduce(read), ones), None))


@dataclass(frozen=True)
class _Place:
    """A contraction that reads the site, and what it reads as a member of a scaling site."""

    edge: Member
    probe: Probe
    reader: Reader | None

    def shifted(self, z: Values) -> _Place:
        at_edge = (*self.probe.at_edge, (self.edge, shifting(z)))
        return replace(self, probe=replace(self.probe, at_edge=at_edge))

    def power(self) -> float:
        return sum(float(np.square(y).sum()) for y in self.probe.results(self.probe.sides()))

    def losses(self, candidates: Sequence[Candidate]) -> list[float]:
        if self.reader is None or not candidates:
            sides = self.probe.sides()
            return [self.probe.error(self.probe.results(sides), sides)]
        changes = [scaling(one.scales) for one in candidates]
        before, after = errors(Judges((self.reader,)), {self.reader.node: self.probe}, changes)
        return [before, *after]

    def peaks_of_edge(self, shape: tuple[int, int]) -> Values:
        assert self.reader is not None
        found = [peaks(self.reader.edge.rows(x), shape) for x in self.probe.operands]
        return np.maximum.reduce(found)

    def peaks_of_weight(self, shape: tuple[int, int]) -> Values:
        assert self.reader is not None
        return peaks(self.reader.weight.rows(self.probe.weights), shape)


def means(
    places: Sequence[_Place], views: Sequence[Sequence[Channels]], shape: tuple[int, int]
) -> Values:
    """The mean of each channel, [blocks, size]: what is left has the least power."""
    total, count = np.zeros(shape), np.zeros((shape[0], 1))
    for place in places:
        for x in place.probe.operands:
            rows, ids = place.edge.rows(x)
            np.add.at(total, ids, rows.astype(np.float64))
            np.add.at(count, ids, 1.0)
    return total / np.maximum(count, 1.0)


def middles(
    places: Sequence[_Place], views: Sequence[Sequence[Channels]], shape: tuple[int, int]
) -> Values:
    """(greatest + least) / 2 of each channel over all views of it, [blocks, size]."""
    low = np.minimum.reduce([np.stack([block.low for block in view]) for view in views])
    high = np.maximum.reduce([np.stack([block.high for block in view]) for view in views])
    return np.broadcast_to((low + high) / 2, shape)


CENTRES: Mapping[str, Callable[..., Values]] = {"middle": middles, "mean": means}
"""Where a channel may have its centre."""


def _read(graph: Graph, site: ShiftSite) -> list[tuple[Member, Contraction]]:
    """The contractions that read an edge of the site which loses z itself; at most 16."""
    edges = {Port(m.value, m.axis): m for m in site.edges if m.exponent == 1}
    found: list[tuple[Member, Contraction]] = []
    for node in graph.nodes:
        port = shifted_input(node)
        if port is not None and port in edges and isinstance(node, Contraction):
            found.append((edges[port], node))
    kept = min(len(found), JUDGES)
    return [found[i * len(found) // kept] for i in range(kept)]


def _scales(graph: Graph, sites: Sequence[ScalingSite]) -> Mapping[Node, Reader]:
    """For each contraction the scaling site's view of what it reads."""
    return {own.node: own for site in reversed(sites) for own in readers(graph, site)}
