"""Activations are divided by scales that go into the weights around, where that is exact.

The sites are found by analysis; a policy proposes scales for each, and the one that loses least
when the contractions behind it are quantized is taken, none among them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from qcompile.analysis.axes import ScalingSite, scaling_sites
from qcompile.calibrate.channels import Channels
from qcompile.errors import UsageError
from qcompile.ir.graph import Graph
from qcompile.ir.types import Array
from qcompile.passes.base import Meaning, Pass
from qcompile.passes.choose_widths import choose_widths
from qcompile.passes.recipe import Recipe
from qcompile.passes.transforms.changes import altered, scaling
from qcompile.passes.transforms.constants import Change, with_changes
from qcompile.passes.transforms.notes import Note, untold
from qcompile.passes.transforms.probes import Probe, collect_probes
from qcompile.passes.transforms.readers import Contraction, Reader, readers, writers
from qcompile.passes.transforms.smoothing import POLICIES, Seen
from qcompile.passes.transforms.statistics import collect_channels

Values = NDArray[Any]
WORTH = 0.98  # of the error: a smaller gain is chance


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

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise UsageError(f"smooth: no policy {self.policy!r}: give {', '.join(POLICIES)}")
        if self.alpha is not None and not 0 <= self.alpha <= 1:
            raise UsageError(f"smooth: alpha is {self.alpha}: give 0 to 1")

    def run(self, graph: Graph) -> Graph:
        """The same function; itself where no scale gains anything, or nothing shows activations."""
        if not self.samples:
            return graph
        sites = {site: readers(graph, site) for site in scaling_sites(graph)}
        sites = {site: found for site, found in sites.items() if found}
        if not sites:
            return graph
        leads = [site.lead for site in sites]
        seen = collect_channels(graph, leads, self.samples, threads=self.threads)
        widths = choose_widths(graph, self.recipe.widths)
        wanted = {r.node: widths[r.node].widths for found in sites.values() for r in found}
        probes = collect_probes(graph, wanted, self.samples, self.recipe)
        changes: list[tuple[ScalingSite, Change]] = []
        for (site, own), stats in zip(sites.items(), seen, strict=True):
            found = self._choose(graph, site, own, stats, probes)
            if found is not None:
                changes.append((site, found))
        return with_changes(graph, changes) if changes else graph

    def _choose(
        self,
        graph: Graph,
        site: ScalingSite,
        own: Sequence[Reader],
        stats: Sequence[Channels],
        probes: Mapping[Contraction, Probe],
    ) -> Change | None:
        """The best candidate's change; None where no candidate gains."""
        before = sum(_error(probes[r.node], r, None) for r in own)
        best, least, words = None, before * WORTH, "none"
        for candidate in POLICIES[self.policy](_seen(graph, site, own, stats), self.alpha):
            change = scaling(candidate.scales)
            error = sum(_error(probes[r.node], r, change) for r in own)
            if error < least:
                best, least, words = change, error, candidate.words
        after = before if best is None else least
        self.tell(Note(self.name, site.name, site.role, words, before, after))
        return best


def _error(probe: Probe, reader: Reader, change: Change | None) -> float:
    """The error of one contraction's result after a change."""
    if change is None:
        return probe.error(probe.operands, probe.weights)
    operands = [altered(reader.edge, x, change) for x in probe.operands]
    return probe.error(operands, altered(reader.weight, probe.weights, change))


def _seen(
    graph: Graph, site: ScalingSite, own: Sequence[Reader], stats: Sequence[Channels]
) -> Seen:
    """What a policy looks at."""
    shape = (site.count, site.size)
    read = [_peaks(r.weight.rows(r.weight.value.evaluate()), shape) for r in own]
    made = [_peaks(w.weight.rows(w.weight.value.evaluate()), shape) for w in writers(graph, site)]
    return Seen(
        _stacked([s.largest for s in stats], shape),
        _stacked([s.magnitude for s in stats], shape),
        np.maximum.reduce(read),
        np.maximum.reduce(made) if made else np.ones(shape),
    )


def _peaks(found: tuple[Values, Values], shape: tuple[int, int]) -> Values:
    """The greatest magnitude of each channel in each block."""
    rows, ids = found
    result = np.zeros(shape)
    np.maximum.at(result, ids, np.abs(rows).astype(np.float64))
    return result


def _stacked(blocks: Sequence[Values], shape: tuple[int, int]) -> Values:
    return np.broadcast_to(np.stack(blocks), shape)
