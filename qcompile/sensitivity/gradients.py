"""The damage's second derivatives by weights and inputs of contractions, from first gradients.

The damage E‖y' − y‖² / E‖y‖² is zero at the real weights, residual and all, so half its Hessian
there is JᵀJ / E‖y‖² exactly. With v = ±1 at random E(Jᵀv)² is the diagonal of JᵀJ (Hutchinson): one
backward pass gives it for all contractions at once, and samples in a batch need none of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import torch

from qcompile.calibrate.collect import in_order
from qcompile.errors import UsageError
from qcompile.ir.node import Node
from qcompile.passes.roles import weight
from qcompile.sensitivity.network import Network, Values
from qcompile.sensitivity.sites import Site
from qcompile.sensitivity.study import Study
from qcompile.sensitivity.torch_ops import Tensor, snapped
from qcompile.sensitivity.walk import Walk

DRAWS = 4  # of v, for each sample


@dataclass(frozen=True)
class Curvature:
    """`weight`: the damage of a small change of each weight is this times its square. `inputs`: the
    damage of the input's grid, by bits."""

    weight: Tensor
    inputs: Mapping[int, float]

    def __add__(self, other: Curvature) -> Curvature:
        inputs = {bits: found + other.inputs[bits] for bits, found in self.inputs.items()}
        return Curvature(self.weight + other.weight, inputs)


def curvatures(study: Study, sites: Sequence[Site]) -> dict[str, Curvature]:
    """By the contractions' names. `UsageError` names operations without a gradient."""
    walk = Walk(study)
    if walk.network.foreign:
        listed = ", ".join(sorted({node.op for node in walk.network.foreign}))
        raise UsageError(f"no gradients through {listed}: measure sensitivities by output-error")
    lengths = [sqrt(p * len(walk.powers)) if p else 0.0 for p in walk.powers]
    wanted = {site.name: site for site in sites}

    def one(i: int) -> dict[str, Curvature]:
        return _Backward(walk.network, wanted, walk.batches[i]).curvatures(lengths, seed=i)

    total: dict[str, Curvature] = {}
    for part in in_order(one, range(len(walk.batches)), threads=study.threads):
        total = {n: total[n] + c if n in total else c for n, c in part.items()}
    return total


class _Backward:
    """One batch through the graph, the weights and inputs of its contractions as variables."""

    def __init__(self, network: Network, sites: Mapping[str, Site], given: Values) -> None:
        self._network, self._sites = network, sites
        self._variables: dict[str, tuple[Tensor, Tensor]] = {}
        values = dict(given)
        for step in network.steps:
            operands = [network.value(o, values) for o in step.node.operands]
            if step.node.name in sites:
                self._vary(step.node, operands)
            values[step.node] = network.applied(step.node, operands)
            for node in step.dead:
                values.pop(node, None)
        self._ends = [network.value(end, values) for end in network.graph.results]

    def curvatures(self, lengths: Sequence[float], *, seed: int) -> dict[str, Curvature]:
        """The mean over the draws, the outputs counted in these lengths."""
        generator = torch.Generator().manual_seed(seed)
        flat = [x for pair in self._variables.values() for x in pair]
        total: dict[str, Curvature] = {}
        for _ in range(DRAWS):
            signs = [
                _signs(y, generator) / n for y, n in zip(self._ends, lengths, strict=True) if n
            ]
            ends = [y for y, n in zip(self._ends, lengths, strict=True) if n]
            found = torch.autograd.grad(ends, flat, signs, retain_graph=True)
            pairs = zip(found[::2], found[1::2], strict=True)
            for name, (by_weight, by_input) in zip(self._variables, pairs, strict=True):
                part = self._curvature(name, by_weight, by_input)
                total[name] = total[name] + part if name in total else part
        return total

    def _curvature(self, name: str, by_weight: Tensor, by_input: Tensor) -> Curvature:
        _, x = self._variables[name]
        real = x.detach()
        inputs = {
            bits: 0.0 if form is None else float(_product(by_input, snapped(real, *form) - real))
            for bits, form in self._sites[name].formats.items()
        }
        return Curvature(
            by_weight.double().square() / DRAWS, {bits: d / DRAWS for bits, d in inputs.items()}
        )

    def _vary(self, node: Node, operands: list[Tensor]) -> None:
        found = weight(node)
        assert found is not None
        place = node.operands.index(found[0])
        w = operands[place].detach().clone().requires_grad_()
        x = operands[1 - place]
        own = x.view_as(x) if x.requires_grad else x.detach().requires_grad_()
        operands[place], operands[1 - place] = w, own
        self._variables[node.name] = (w, own)


def _signs(y: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randint(0, 2, y.shape, generator=generator).to(y.dtype) * 2 - 1


def _product(gradient: Tensor, change: Tensor) -> Tensor:
    return (gradient.double().square() * change.double().square()).sum()
