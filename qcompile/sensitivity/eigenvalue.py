"""Damages by the greatest eigenvalue of each weight's Hessian, as HAWQ had it first.

λ·‖Q(W) − W‖² (Dong et al., arXiv 1905.03696, section 3.1) is the most that an error of this length
can do. The loss is the damage at the outputs, half its Hessian A = JᵀJ / E‖y‖² (see `gradients`),
and λ comes from power iteration, v ← A·v / ‖A·v‖, on each weight alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar
from zlib import crc32

import numpy as np
import torch

from qcompile.ir.node import Node
from qcompile.ir.widths import Widths
from qcompile.passes.roles import weight
from qcompile.sensitivity.gradients import DRAWS, curvatures
from qcompile.sensitivity.network import Values, one_thread, versions
from qcompile.sensitivity.study import Study
from qcompile.sensitivity.torch_ops import Tensor
from qcompile.sensitivity.walk import Stop, stops

SAMPLES = 16  # that eigenvalues are found on
ROUNDS = 50  # at most
SETTLED = 1e-3  # relative change of the eigenvalue at which a search ends
Product = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class HessianEigenvalue:
    """Inputs count by their own curvature."""

    name: ClassVar[str] = "hessian-eigenvalue"

    @property
    def facts(self) -> Mapping[str, str]:
        """Versions, draws, and where the search ends."""
        settings = {"draws": DRAWS, "samples": SAMPLES, "rounds": ROUNDS, "settled": SETTLED}
        return {**versions(), **{name: str(value) for name, value in settings.items()}}

    def measure(
        self, study: Study, wanted: Mapping[str, Sequence[Widths]]
    ) -> Iterator[tuple[str, Widths, float]]:
        """One contraction after the other, in graph order."""
        sites = [site for site in study.sites if wanted.get(site.name)]
        with one_thread():
            inputs = curvatures(study, sites)
        for name, greatest in eigenvalues(study, wanted):
            site = next(site for site in sites if site.name == name)
            for widths in wanted[name]:
                error = site.weights(widths.weight).astype(np.float64) - site.weight.array
                by_input = inputs[name].inputs[widths.activation]
                yield name, widths, greatest * float(np.square(error).sum()) + by_input


def eigenvalues(
    study: Study, wanted: Mapping[str, Sequence[Widths]]
) -> Iterator[tuple[str, float]]:
    """The greatest eigenvalue of A for each contraction that is asked about, in graph order."""
    few = replace(study, samples=study.samples[:SAMPLES])
    for stop in stops(few, wanted):
        found = weight(stop.node)
        assert found is not None
        start = stop.walk.network.constants[found[0]]
        yield stop.site.name, _greatest(_products(stop, found[0], start), start)


def _greatest(products: Sequence[Product], start: Tensor) -> float:
    """The greatest eigenvalue of the products' sum, from a seeded direction."""
    seed = torch.Generator().manual_seed(crc32(repr(tuple(start.shape)).encode()))
    v = torch.randn(start.shape, generator=seed, dtype=start.dtype)
    value = 0.0
    for _ in range(ROUNDS):
        v = v / v.square().sum().sqrt()
        image = torch.sum(torch.stack([product(v) for product in products]), 0)
        before, value = value, float((v * image).sum())
        if not value or abs(value - before) <= SETTLED * value:
            break
        v = image
    return value


def _products(stop: Stop, read: Node, start: Tensor) -> list[Product]:
    """Per batch v → A·v, its share; what lies behind the contraction is run once for each."""
    walk, node = stop.walk, stop.node
    lengths = [power * len(walk.powers) for power in walk.powers]
    beside, cone = walk.beyond(node)

    def product(i: int) -> Product:
        network = walk.network
        values: Values = {n: x.clone() for n, x in walk.batches[i].items()}
        values = network.run(beside, values)
        w = start.clone().requires_grad_()
        operands = [w if o is read else network.value(o, values) for o in node.operands]
        values = network.run(cone, {**values, node: network.applied(node, operands)})
        ends = [network.value(end, values) for end in network.graph.results]
        ends, scales = zip(*((y, n) for y, n in zip(ends, lengths, strict=True) if n), strict=True)
        probes = [torch.zeros_like(y).requires_grad_() for y in ends]
        (backward,) = torch.autograd.grad(ends, w, probes, create_graph=True)

        def apply(v: Tensor) -> Tensor:
            """J·v by differentiating the backward pass, which is linear in its probes."""
            forward = torch.autograd.grad(backward, probes, v, retain_graph=True)
            signs = [y / n for y, n in zip(forward, scales, strict=True)]
            return torch.autograd.grad(ends, w, signs, retain_graph=True)[0]

        return apply

    return [product(i) for i in range(len(walk.batches))]
