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
from qcompile.numerics.spreading import spread
from qcompile.passes.base import Meaning, Pass
from qcompile.passes.each import Each, uncounted
from qcompile.passes.online_hadamard import edge_of, insert_online
from qcompile.passes.recipe import Recipe
from qcompile.passes.transforms.candidates import BLOCKS
from qcompile.passes.transforms.notes import Note, untold
from qcompile.passes.transforms.probes import Probe, Values, collect_probes
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
    each: Each = field(default=uncounted, repr=False)

    def __post_init__(self) -> None:
        if not self.gain >= 1:
            raise UsageError(f"rotate-online: gain is {self.gain}: give 1 or more")

    def run(self, graph: Graph) -> Graph:
        """The same function; itself where nothing pays, or nothing shows activations."""
        if not self.samples:
            return graph
        sites = {site: contractions(site) for site in online_sites(graph)}
        sites = {site: own for site, own in sites.items() if own}
        if not sites:
            return graph
        nodes = [node for own in sites.values() for node in own]
        probes = collect_probes(graph, nodes, self.samples, self.recipe)
        sizes: dict[str, int] = {}
        for site, own in self.each(list(sites.items()), "rotating at run time at sites"):
            order = self._choose(site, [probes[node] for node in own])
            if order is not None:
                sizes |= {node.name: order for node in own}
        return insert_online(graph, sizes, seed=self.seed) if sizes else graph

    def _choose(self, site: OnlineSite, probes: Sequence[Probe]) -> int | None:
        """The best order of a Hadamard matrix for the site; None where none pays."""
        orders = tuple(_orders(site.size))
        rows = [self._errors(probe, orders) for probe in probes]
        before, *found = (sum(column, 0.0) for column in zip(*rows, strict=True))
        error, best = min(zip(found, orders, strict=True), default=(before, 0))
        if not best or error >= before / self.gain:
            self.tell(Note(self.name, site.name, site.role, "none", before, before))
            return None
        words = f"online hadamard of {best}"
        reason = f"{_cost(site.size, best)} additions for each vector"
        self.tell(Note(self.name, site.name, site.role, words, before, error, reason))
        return best

    def _errors(self, probe: Probe, orders: Sequence[int]) -> list[float]:
        """Without a transform, and with x·T in place of x and T^-1 in the weight for each order."""
        edge = edge_of(probe.node)
        assert edge is not None
        operands, weights = sides = probe.sides()
        wanted = probe.results(sides)
        found = [probe.error(wanted, sides)]
        for order in orders:
            turned = [_turned(x, edge.axis, order, self.seed) for x in operands]
            narrow = _turned(weights, edge.weight_axis, order, self.seed)
            found.append(probe.error(wanted, (turned, narrow)))
        return found


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


def _turned(values: Values, axis: int, order: int, seed: int) -> Values:
    moved = np.moveaxis(values, axis, -1)
    rows = spread(moved.reshape(-1, moved.shape[-1]), order=order, seed=seed)
    return np.moveaxis(rows.reshape(moved.shape), -1, axis)
