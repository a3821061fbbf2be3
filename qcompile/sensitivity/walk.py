"""All samples on their way through a graph together, and side trips from where they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from qcompile.calibrate.collect import in_order
from qcompile.ir.node import Node
from qcompile.ir.widths import Widths
from qcompile.sensitivity.network import Network, Step, Values, behind, one_thread, schedule
from qcompile.sensitivity.sites import Site
from qcompile.sensitivity.sketch import Sketcher
from qcompile.sensitivity.study import Study
from qcompile.sensitivity.torch_ops import Tensor

Change = Callable[[int, Values], Iterable[Tensor]]
T = TypeVar("T")
Vector = NDArray[Any]


class Walk:
    """`batches` hold the values that are computed and still needed, before one same node.

    Batches run in threads; which samples share one does not depend on the threads.
    """

    def __init__(self, study: Study) -> None:
        self.network = Network(study.graph)
        self._threads = study.threads
        self.batches = self.network.batches(study.samples)
        self._real = self.each(lambda i: self.network.outputs(self.batches[i]))
        powers = [[power(y) for y in outputs] for outputs in self._real]
        self.powers = [sum(column) for column in zip(*powers, strict=True)]
        self._results = self.network.graph.results
        self._sketcher = Sketcher([sum(y.numel() for y in outputs) for outputs in self._real])

    def advance(self, step: Step) -> None:
        """Beyond one more node."""
        self.each(lambda i: self.network.run([step], self.batches[i]))

    def each(self, work: Callable[[int], T], count: int | None = None) -> list[T]:
        """The work on all batches, or the first ones, by their places; results in order."""

        def quietly(index: int) -> T:
            with torch.inference_mode():
                return work(index)

        places = range(len(self.batches))[:count]
        return list(in_order(quietly, places, threads=self._threads))

    def damages(self, node: Node, change: Change) -> list[float]:
        """What the outputs suffer from each of the values that the node is changed to.

        E‖y' − y‖² / E‖y‖² over all samples, the mean over outputs. `change` gives, for the place of
        a batch and its values, tensors that are its own.
        """
        options = self._ends(node, change, self._errors)
        return [self._damage(parts) for parts in options]

    def errors(self, node: Node, change: Change) -> list[Vector]:
        """Per value what becomes of the outputs, as a vector whose squared length is the damage;
        of long ones a sketch.

        Products of two of them are what both damage together, half of it, to first order.
        """

        def sketched(i: int, ends: Sequence[Tensor]) -> tuple[list[float], Tensor]:
            rows = [
                (found - y) / sqrt((p or 1.0) * len(self.powers))
                for found, y, p in zip(ends, self._real[i], self.powers, strict=True)
            ]
            row = torch.cat([part.reshape(-1) for part in rows])
            return self._errors(i, ends), self._sketcher.part(i, row)

        found: list[Vector] = []
        for parts in self._ends(node, change, sketched):
            damage = self._damage([errors for errors, _ in parts])
            vector = torch.stack([sketch for _, sketch in parts]).sum(0).numpy()
            length = float(np.square(vector).sum())
            scaled = vector * sqrt(damage / length) if length else vector
            found.append(scaled.astype(np.float32))
        return found

    def _ends(
        self, node: Node, change: Change, seen: Callable[[int, Sequence[Tensor]], T]
    ) -> Iterable[tuple[T, ...]]:
        """Per value what is seen of the outputs, batch by batch."""
        beside, cone = self.beyond(node)

        def one(i: int) -> list[T]:
            values = self.network.run(beside, dict(self.batches[i]))
            found: list[T] = []
            for changed in change(i, values):
                after = self.network.run(cone, {**values, node: changed})
                found.append(seen(i, [self.network.value(y, after) for y in self._results]))
            return found

        return zip(*self.each(one), strict=True)

    def damage(self, outputs: Sequence[Sequence[Tensor]]) -> float:
        """The damage when the outputs, batch by batch, are these."""
        return self._damage([self._errors(i, found) for i, found in enumerate(outputs)])

    def _errors(self, i: int, outputs: Sequence[Tensor]) -> list[float]:
        return [power(found - y) for found, y in zip(outputs, self._real[i], strict=True)]

    def _damage(self, parts: Sequence[Sequence[float]]) -> float:
        errors = [sum(column) for column in zip(*parts, strict=True)]
        ratios = [e / p if p else e for e, p in zip(errors, self.powers, strict=True)]
        return sum(ratios) / len(ratios)

    def beyond(self, node: Node) -> tuple[list[Step], list[Step]]:
        """What else is needed behind the node and not computed yet; what lies behind it."""
        graph, known = self.network.graph, self.batches[0]
        inside = behind(graph, node)
        needed: set[Node] = {*inside, *graph.results}
        beside: list[Node] = []
        for step in reversed(self.network.steps):
            other = step.node
            if other in inside or other in known or other is node:
                continue
            if other in needed or any(user in needed for user in graph.users[other]):
                needed.add(other)
                beside.append(other)
        cone = [step.node for step in self.network.steps if step.node in inside]
        first = schedule(beside[::-1], keep={*needed, *known})
        return first, schedule(cone, keep=graph.results)


@dataclass(frozen=True, eq=False)
class Stop:
    """A contraction that is asked about, the walk standing right before it."""

    walk: Walk
    node: Node
    site: Site
    options: Sequence[Widths]


def stops(study: Study, wanted: Mapping[str, Sequence[Widths]]) -> Iterator[Stop]:
    """Every contraction with options that are wanted, in graph order, torch held to one thread."""
    left = {name for name, options in wanted.items() if options}
    sites = {site.name: site for site in study.sites}
    with one_thread():
        walk = Walk(study)
        for step in walk.network.steps:
            if not left:
                return
            name = step.node.name
            if name in left:
                left.remove(name)
                yield Stop(walk, step.node, sites[name], wanted[name])
            walk.advance(step)


def power(y: Tensor) -> float:
    """Σ y²."""
    return float(y.double().square().sum())
