"""A Hadamard transform at run time where no rotation is to be had for nothing, if it pays.

It stands in front of a contraction, and its inverse goes into the weight (QuaRot, arXiv 2404.00456,
section 4, stage 1d).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from qcompile.analysis.axes import OnlineSite, online_sites
from qcompile.errors import UsageError
from qcompile.ir.graph import Graph
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.types import Array
from qcompile.numerics.hadamard import additions, block_size
from qcompile.passes.base import Meaning, Pass
from qcompile.passes.choose_widths import choose_widths
from qcompile.passes.online_hadamard import edge_of, insert_online
from qcompile.passes.recipe import Recipe
from qcompile.passes.transforms.candidates import BLOCKS, Matrices, hadamard_blocks
from qcompile.passes.transforms.notes import Note, untold
from qcompile.passes.transforms.probes import Probe, collect_probes
from qcompile.passes.transforms.readers import Contraction


@dataclass(frozen=True)
class RotateOnline(Pass):
    """Inserts `Hadamard` where the contractions behind it lose less by `gain` or more.

    `gain` is the least ratio of their errors without and with it: an operation that is not free
    must be worth its additions. `seed` draws the signs.
    """

    name: ClassVar[str] = "rotate-online"
    keeps: ClassVar[Meaning] = Meaning.CLOSELY

    gain: float = 1.5
    seed: int = 1
    samples: Sequence[Sequence[Array]] = field(default=(), repr=False)
    recipe: Recipe = field(default_factory=Recipe, repr=False)
    tell: Callable[[Note], None] = field(default=untold, repr=False)

    def __post_init__(self) -> None:
        if not self.gain >= 1:
            raise UsageError(f"rotate-online: gain is {self.gain}: give 1 or more")

    def run(self, graph: Graph) -> Graph:
        """The same function; itself where nothing pays, or nothing shows activations."""
        if not self.samples:
            return graph
        sites = {site: contractions(site) for site in online_sites(graph)}
        sites = {site: own for site, own in sites.items() if own}
        chosen = choose_widths(graph, self.recipe.widths)
        wanted = {node: chosen[node].widths for own in sites.values() for node in own}
        if not wanted:
            return graph
        probes = collect_probes(graph, wanted, self.samples, self.recipe)
        sizes: dict[str, int] = {}
        for site, own in sites.items():
            order = self._choose(site, [probes[node] for node in own])
            if order is not None:
                sizes |= {node.name: order for node in own}
        return insert_online(graph, sizes, seed=self.seed) if sizes else graph

    def _choose(self, site: OnlineSite, probes: Sequence[Probe]) -> int | None:
        """The best order of a Hadamard matrix for the site; None where none pays."""
        before = sum(probe.own_error for probe in probes)
        best, least = None, before / self.gain
        for order in _orders(site.size):
            matrix = hadamard_blocks(site.size, order, seed=self.seed)[0]
            error = sum(_turned_error(probe, matrix) for probe in probes)
            if error < least:
                best, least = order, error
        words = "none" if best is None else f"online hadamard of {best}"
        reason = "" if best is None else f"{_cost(site.size, best)} additions for each vector"
        after = before if best is None else least
        self.tell(Note(self.name, site.name, site.role, words, before, after, reason))
        return best


def contractions(site: OnlineSite) -> tuple[Contraction, ...]:
    """The readers with constant weights and names; none of a product of two values."""
    if site.partner is not None:
        return ()
    found = (n for n in site.readers if isinstance(n, Conv | ConvTranspose | MatMul))
    return tuple(node for node in found if node.name)


def _orders(size: int) -> Iterator[int]:
    """The whole, then blocks."""
    whole = block_size(size)
    yield from (order for order in (whole, *BLOCKS) if 1 < order <= whole and size % order == 0)


def _cost(size: int, order: int) -> int:
    return size // order * additions(order)


def _turned_error(probe: Probe, matrix: Matrices) -> float:
    """With x·T in place of x and T^-1 in the weight."""
    edge = edge_of(probe.node)
    assert edge is not None
    operands = [_times(x, edge.axis, matrix) for x in probe.operands]
    return probe.error(operands, _times(probe.weights, edge.weight_axis, matrix))


def _times(values: Matrices, axis: int, matrix: Matrices) -> Matrices:
    return np.moveaxis(np.moveaxis(values, axis, -1) @ matrix, -1, axis)
