"""Orthogonal matrices that cancel between constants spread outliers over all channels.

The sites are found by analysis; for each a policy proposes matrices, and the one that loses least
when the contractions around are quantized is taken, none among them: for block formats a rotation
can hurt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from numpy.typing import NDArray

from qcompile.analysis.axes import Group, RotationSite, rotation_sites
from qcompile.errors import UsageError
from qcompile.ir.graph import Graph
from qcompile.ir.types import Array
from qcompile.ir.widths import Widths
from qcompile.passes.base import Meaning, Pass
from qcompile.passes.choose_widths import choose_widths
from qcompile.passes.recipe import Recipe
from qcompile.passes.transforms.candidates import POLICIES, Wanted
from qcompile.passes.transforms.changes import altered, turning
from qcompile.passes.transforms.constants import Change, with_changes
from qcompile.passes.transforms.notes import Note, untold
from qcompile.passes.transforms.probes import Probe, collect_probes
from qcompile.passes.transforms.readers import Contraction, Reader, Writer, readers, writers
from qcompile.passes.transforms.statistics import collect_moments

LEAST = 4  # channels worth a rotation
WORTH = 0.98  # of the error: a smaller gain is chance
JUDGES = 16  # contractions that judge one site, evenly spaced along the graph
T = TypeVar("T")


@dataclass(frozen=True)
class Judges:
    """The contractions that a site's rotation reaches."""

    readers: tuple[Reader, ...]
    writers: tuple[Writer, ...]

    @property
    def nodes(self) -> tuple[Contraction, ...]:
        """All of them."""
        return tuple(own.node for own in (*self.readers, *self.writers))


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
        chosen = choose_widths(graph, self.recipe.widths)
        wanted: dict[Contraction, Widths] = {
            node: chosen[node].widths for own in sites.values() for node in own.nodes
        }
        probes = collect_probes(graph, wanted, self.samples, self.recipe)
        edges = [[r.edge for r in own.readers] for own in sites.values()]
        moments = collect_moments(graph, edges, self.samples, threads=self.threads)
        changes: list[tuple[RotationSite, Change]] = []
        for (site, own), seen in zip(sites.items(), moments, strict=True):
            found = self._choose(site, own, seen, probes)
            if found is not None:
                changes.append((site, found))
        return with_changes(graph, changes) if changes else graph

    def _choose(
        self,
        site: RotationSite,
        own: Judges,
        moments: NDArray[Any] | None,
        probes: Mapping[Contraction, Probe],
    ) -> Change | None:
        """The best candidate's change; None where no candidate gains."""
        before = _error(own, None, probes)
        best, least, words = None, before * WORTH, "none"
        for candidate in POLICIES[self.policy](Wanted(site.size, site.count, moments, self.seed)):
            change = turning(candidate.matrices)
            error = _error(own, change, probes)
            if error < least:
                best, least, words = change, error, candidate.words
        after = before if best is None else least
        self.tell(Note(self.name, site.name, site.role, words, before, after))
        return best


def judges(graph: Graph, site: RotationSite) -> Judges:
    """Those that read and those that write the site, at most 16 of each."""
    return Judges(_few(readers(graph, site)), _few(writers(graph, site)))


def _takes_any(site: RotationSite) -> bool:
    """Every orthogonal matrix may act, and there are channels to mix."""
    return site.group in (Group.ORTHOGONAL, Group.GENERAL) and site.size >= LEAST


def _few(items: tuple[T, ...]) -> tuple[T, ...]:
    kept = min(len(items), JUDGES)
    return tuple(items[i * len(items) // kept] for i in range(kept))


def _error(own: Judges, change: Change | None, probes: Mapping[Contraction, Probe]) -> float:
    """The errors of what is read, and of the weights that write."""
    total = 0.0
    for reader in own.readers:
        probe = probes[reader.node]
        if change is None:
            total += probe.error(probe.operands, probe.weights)
        else:
            operands = [altered(reader.edge, x, change) for x in probe.operands]
            total += probe.error(operands, altered(reader.weight, probe.weights, change))
    for writer in own.writers:
        weights = probes[writer.node].weights
        found = weights if change is None else altered(writer.weight, weights, change)
        total += probes[writer.node].weight_error(found)
    return total
