"""What every estimator works on: a real graph, its sites, and samples."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from qcompile.analysis.ends import compared
from qcompile.analysis.memory import peak_bytes
from qcompile.calibrate.statistics import Statistics
from qcompile.errors import CalibrationError, UsageError
from qcompile.ir.graph import Graph
from qcompile.ir.text import dump
from qcompile.ir.types import Array
from qcompile.ir.widths import Widths
from qcompile.passes.recipe import Recipe
from qcompile.passes.specify import without_marks
from qcompile.sensitivity.sites import Site, find_sites

MEMORY = 1 << 30  # bytes for the values of samples that go through the graph together
Sample = Sequence[Array]


@dataclass(frozen=True, eq=False)
class Study:
    """`graph` computes in reals and ends where its outputs are judged. Results do not depend on
    `threads`."""

    graph: Graph
    sites: tuple[Site, ...]
    samples: tuple[Sample, ...] = field(repr=False)
    threads: int = 1

    def parts(self) -> Iterator[Study]:
        """The same with as many samples each as memory takes."""
        size = max(MEMORY // max(peak_bytes(self.graph), 1), 1)
        for start in range(0, len(self.samples), size):
            yield replace(self, samples=self.samples[start : start + size])

    def everywhere(self, options: Sequence[Widths]) -> dict[str, Sequence[Widths]]:
        """The same options at every site."""
        return {site.name: options for site in self.sites}

    def graph_digest(self) -> str:
        """SHA-256 of the graph's text, which names its constants by their digests."""
        return hashlib.sha256(dump(self.graph).encode()).hexdigest()

    def samples_digest(self) -> str:
        """SHA-256 over element types, shapes and bytes."""
        state = hashlib.sha256()
        for array in (array for sample in self.samples for array in sample):
            state.update(json.dumps([array.dtype.name, list(array.shape)]).encode())
            state.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        return state.hexdigest()


def study(
    specified: Graph,
    statistics: Sequence[Statistics],
    recipe: Recipe,
    samples: Iterable[Sample],
    *,
    threads: int = 1,
) -> Study:
    """The study of a specified graph. `statistics` belong to its observed activations."""
    bare = without_marks(specified)
    ends = compared(bare)
    if not ends:
        raise UsageError(f"{bare.name} has no output of reals: no damage can be measured")
    judged = Graph(bare.name, bare.inputs, ends)
    reached = {node.name for node in judged.nodes}
    sites = [s for s in find_sites(specified, statistics, recipe) if s.name in reached]
    drawn = tuple(samples)
    if not drawn:
        raise CalibrationError("no samples to measure sensitivities on: give at least one")
    return Study(judged, tuple(sites), drawn, threads)


def asked(given: Study, wanted: Mapping[str, Sequence[Widths]]) -> list[tuple[Site, Widths]]:
    """The questions in graph order. `UsageError` names what is no site."""
    unknown = sorted(set(wanted) - {site.name for site in given.sites})
    if unknown:
        raise UsageError(f"no contraction with a constant weight is named {', '.join(unknown)}")
    return [(site, widths) for site in given.sites for widths in wanted.get(site.name, ())]
