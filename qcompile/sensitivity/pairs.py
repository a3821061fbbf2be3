"""What two contractions damage together beyond what each damages alone, measured.

L(Δi + Δj) − L(Δi) − L(Δj) for every two options of two neighbours, all else real (CLADO, Deng et
al., arXiv 2307.05657, section 3). CLADO measures all pairs and projects the whole matrix to a
positive semidefinite one, since its solver wants a convex objective; here the terms stay as they
were measured: the solver takes terms of either sign, and those of contractions far apart are 0.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from qcompile.cache import Cache, key
from qcompile.ir.node import Node
from qcompile.ir.widths import Widths
from qcompile.sensitivity.network import Step, Values, schedule, versions
from qcompile.sensitivity.quantized import (
    Quantized,
    certain,
    channel_means,
    mean_shifts,
    spread,
)
from qcompile.sensitivity.sites import Site
from qcompile.sensitivity.study import Study
from qcompile.sensitivity.torch_ops import Tensor
from qcompile.sensitivity.walk import Change, Walk, stops

FORMAT = "1"  # of a record
SAMPLES = 16  # that pairs are measured on
Names = tuple[str, str]
Terms = NDArray[np.float64]


def pair_damages(
    study: Study,
    wanted: Mapping[str, Sequence[Widths]],
    pairs: Sequence[Names],
    *,
    cache: Cache | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> dict[Names, Terms]:
    """For each pair of contractions a row for each option of the first, a column for each of the
    second. Each pair is recorded in the cache as soon as it is found."""
    few = replace(study, samples=study.samples[:SAMPLES])
    graph, samples = few.graph_digest(), few.samples_digest()
    places = {pair: _key(few, wanted, pair, graph + samples) for pair in pairs}
    found = {pair: _read(cache, place) for pair, place in places.items()}
    missing = [pair for pair, terms in found.items() if terms is None]
    for pair, terms in _measured(few, wanted, missing):
        found[pair] = terms
        if cache is not None:
            cache.put(places[pair], json.dumps(terms.tolist()).encode())
        left = sum(terms is None for terms in found.values())
        say(f"pairs of contractions: {len(pairs) - left} of {len(pairs)}")
    return {pair: terms for pair, terms in found.items() if terms is not None}


def _measured(
    study: Study, wanted: Mapping[str, Sequence[Widths]], pairs: Sequence[Names]
) -> Iterator[tuple[Names, Terms]]:
    """In the order of the second contraction."""
    asked = {name for pair in pairs for name in pair}
    sites = {site.name: site for site in study.sites}
    alone: dict[str, Terms] = {}
    joint: dict[Names, Terms] = {}
    for stop in stops(study, {name: options for name, options in wanted.items() if name in asked}):
        name, walk = stop.site.name, stop.walk
        first = Quantized(walk.network, stop.node, stop.site, stop.options, study.threads)
        change = first.shifted(mean_shifts(first, walk))
        alone[name] = np.array(walk.damages(stop.node, change))
        for second in (second for one, second in pairs if one == name):
            ahead = _Ahead(walk, stop.node, sites[second], wanted[second], study.threads)
            joint[name, second] = ahead.joint(change)
        for one, two in [pair for pair in joint if pair[1] in alone]:
            together = joint.pop((one, two))
            yield (one, two), together - alone[one][:, None] - alone[two][None, :]


class _Ahead:
    """A walk that stands before a contraction, `first`, and looks at a second one behind it."""

    def __init__(
        self, walk: Walk, first: Node, site: Site, options: Sequence[Widths], threads: int
    ) -> None:
        network = walk.network
        nodes = [step.node for step in network.steps]
        self._walk, self._first = walk, first
        self._second = next(node for node in nodes if node.name == site.name)
        self._change = Quantized(network, self._second, site, options, threads)
        start, end = nodes.index(first), nodes.index(self._second)
        self._between = [Step(node, ()) for node in nodes[start + 1 : end]]
        self._behind = schedule(nodes[end + 1 :], keep=network.graph.results)

    def joint(self, change: Change) -> Terms:
        """The damages [first's options, second's options] of both together; the second's mean
        errors are measured behind the first, as when compiling."""
        walk, network = self._walk, self._walk.network
        real = walk.each(lambda i: self._real(walk.batches[i]))
        given = walk.each(lambda i: list(change(i, walk.batches[i])))
        rows: list[list[float]] = []
        for column in zip(*given, strict=True):
            firsts = [{self._first: value} for value in column]
            ahead = walk.each(
                lambda i, f=firsts: network.run(self._between, {**walk.batches[i], **f[i]})
            )
            rows.append(self._damages(ahead, real))
        return np.array(rows)

    def _damages(self, ahead: Sequence[Values], real: Sequence[Tensor]) -> list[float]:
        walk, node = self._walk, self._second
        values = walk.each(lambda i: list(self._change.values(ahead[i])))
        found: list[float] = []
        for column in zip(*values, strict=True):
            means = [channel_means(node, v) - r for v, r in zip(column, real, strict=True)]
            shift = spread(node, certain(torch.cat(means)))
            ends = walk.each(lambda i, c=column, s=shift: self._ends(ahead[i], c[i] - s))
            found.append(walk.damage(ends))
        return found

    def _real(self, given: Values) -> Tensor:
        network, node = self._walk.network, self._second
        values = network.run([Step(self._first, ()), *self._between], dict(given))
        return channel_means(node, network.apply(node, values))

    def _ends(self, ahead: Values, value: Tensor) -> list[Tensor]:
        network = self._walk.network
        values = network.run(self._behind, {**ahead, self._second: value})
        return [network.value(end, values) for end in network.graph.results]


def _read(cache: Cache | None, place: str) -> Terms | None:
    """A record's terms; None for none, and for what is no record."""
    record = None if cache is None else cache.get(place)
    try:
        found: Any = None if record is None else json.loads(record)
        return None if found is None else np.array(found, np.float64)
    except ValueError:
        return None


def _key(study: Study, wanted: Mapping[str, Sequence[Widths]], pair: Names, content: str) -> str:
    sites = {site.name: site for site in study.sites}
    formats = [
        (sites[name].formats[widths.activation], sites[name].recipe.weight_of(widths.weight, None))
        for name in pair
        for widths in wanted[name]
    ]
    options = [[name, *map(str, wanted[name])] for name in pair]
    facts = json.dumps([versions(), options])
    return key("pair", FORMAT, facts, content, repr(formats))
