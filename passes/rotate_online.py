"""A Hadamard transform at run time where no rotation is to be had for nothing, if it pays.

It stands in front of a contraction, and its inverse goes into the weight (QuaRot, arXiv 2404.00456,
section 4, stage 1d); or on both factors of a product, queries and keys behind their positions,
where the two cancel (stage 2b; R3 of SpinQuant, arXiv 2405.16406, figure 1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

import numpy as np

from qcompile.analysis.axes import OnlineSite, online_sites
from qcompile.errors import UsageError
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.types import Array
from qcompile.numerics.hadamard import additions, block_size, construction
from qcompile.numerics.spreading import spread
from qcompile.passes.base import Meaning, Pass
from qcompile.passes.each import Each, uncounted
from qcompile.passes.online_hadamard import edge_of, insert_between, insert_online
from qcompile.passes.recipe import Recipe
from qcompile.passes.transforms.candidates import BLOCKS
from qcompile.passes.transforms.notes import Note, unseen, untold
from qcompile.passes.transforms.probes import Probe, Values, collect_probes
from qcompile.passes.transforms.products import (
    Product,
    ProductProbe,
    collect_products,
    quantized_products,
)
from qcompile.passes.transforms.readers import Contraction
from qcompile.passes.transforms.signs import fold_signs

Judged: TypeAlias = Sequence[Probe | ProductProbe]


@dataclass(frozen=True)
class RotateOnline(Pass):
    """Inserts `Hadamard` where the contractions behind it lose less by `gain` or more.

    `gain` is the least ratio of their errors without and with it: an operation that is not free
    must be worth its additions. `seed` draws the signs, which go into the weights of what computes
    the operand where they can.
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
            self.tell(unseen(self.name))
            return graph
        judged = self._judged(graph)
        reading: dict[str, int] = {}
        between: dict[OnlineSite, int] = {}
        for site, own in self.each(list(judged.items()), "rotating at run time at sites"):
            order = self._choose(site, own)
            if order is None:
                continue
            if site.partner is None:
                reading |= {probe.node.name: order for probe in own}
            else:
                between[site] = order
        after = insert_between(graph, between, seed=self.seed) if between else graph
        after = insert_online(after, reading, seed=self.seed) if reading else after
        return fold_signs(after)

    def _judged(self, graph: Graph) -> dict[OnlineSite, Judged]:
        """Every site that something quantized reads, with what judges it there."""
        sites = online_sites(graph)
        reading = {site: contractions(site) for site in sites}
        nodes = [n for own in reading.values() for n in own]
        probes = collect_probes(graph, nodes, self.samples, self.recipe, self.each)
        quantized = quantized_products(graph, self.recipe)
        products = {site: product_of(graph, site) for site in sites}
        met = {node: quantized[node] for node in products.values() if node in quantized}
        pairs = collect_products(graph, met, self.samples, self.recipe)
        found: dict[OnlineSite, Judged] = {}
        for site in sites:
            node = products[site]
            own = [probes[n] for n in reading[site]] if node is None else _present(node, pairs)
            if own:
                found[site] = own
        return found

    def _choose(self, site: OnlineSite, probes: Judged) -> int | None:
        """The best order of a Hadamard matrix for the site; None where none pays."""
        orders = tuple(_orders(site.size))
        rows = [self._errors(probe, orders) for probe in probes]
        before, *found = (sum(column, 0.0) for column in zip(*rows, strict=True))
        error, best = min(zip(found, orders, strict=True), default=(before, 0))
        if not best or error >= before / self.gain:
            reason = f"gains less than {self.gain:g} times"
            self.tell(Note(self.name, site.name, site.role, "none", before, before, reason))
            return None
        words = f"online hadamard of {best}"
        self.tell(Note(self.name, site.name, site.role, words, before, error, _price(site, best)))
        return best

    def _errors(self, probe: Probe | ProductProbe, orders: Sequence[int]) -> list[float]:
        """Without a transform, and with x·T in place of x and T^-1 on the other side for each
        order."""
        if isinstance(probe, ProductProbe):
            first, second = probe.factors
            changed = (
                ([self._turned(x, -1, n) for x in first], [self._turned(x, -2, n) for x in second])
                for n in orders
            )
            return [probe.error(probe.factors), *map(probe.error, changed)]
        edge = edge_of(probe.node)
        assert edge is not None
        operands, weights = sides = probe.sides()
        wanted = probe.results(sides)
        found = [probe.error(wanted, sides)]
        for order in orders:
            turned = [self._turned(x, edge.axis, order) for x in operands]
            narrow = self._turned(weights, edge.weight_axis, order)
            found.append(probe.error(wanted, (turned, narrow)))
        return found

    def _turned(self, values: Values, axis: int, order: int) -> Values:
        moved = np.moveaxis(values, axis, -1)
        rows = spread(moved.reshape(-1, moved.shape[-1]), order=order, seed=self.seed)
        return np.moveaxis(rows.reshape(moved.shape), -1, axis)


def contractions(site: OnlineSite) -> tuple[Contraction, ...]:
    """The readers with constant weights and names; none of a product of two values."""
    if site.partner is not None:
        return ()
    found = (n for n in site.readers if isinstance(n, Conv | ConvTranspose | MatMul))
    return tuple(node for node in found if node.name)


def product_of(graph: Graph, site: OnlineSite) -> Product | None:
    """The product of the two factors of a site, behind moves; None of a site with one."""
    if site.partner is None:
        return None
    node: Node = site.readers[0]
    while not isinstance(node, MatMul):
        (node,) = graph.users[node]
    return node


def _present(node: Product, probes: Mapping[Product, ProductProbe]) -> Judged:
    return [probes[node]] if node in probes else []


def _orders(size: int) -> Iterator[int]:
    """The whole, then blocks."""
    whole = block_size(size)
    yield from (order for order in (whole, *BLOCKS) if 1 < order <= whole and size % order == 0)


def _price(site: OnlineSite, order: int) -> str:
    count = site.size // order * additions(order)
    sides = "" if site.partner is None else " of both factors"
    return f"{construction(order)}, {count} additions for each vector{sides}"
