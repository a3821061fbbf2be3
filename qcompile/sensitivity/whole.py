"""The whole network, each contraction in widths of choice, as compiling leaves it, in torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from qcompile.analysis.ends import compared
from qcompile.calibrate.collect import in_order
from qcompile.errors import UsageError
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.widths import Widths
from qcompile.passes.roles import weight
from qcompile.sensitivity.network import Network, Values, in_reading_order, one_thread
from qcompile.sensitivity.quantized import MEASURED, certain, channel_means, spread
from qcompile.sensitivity.sites import Site
from qcompile.sensitivity.study import Sample, Study
from qcompile.sensitivity.torch_ops import Tensor, snapped, tensor

Assignment = Mapping[str, Widths]
Shifts = Mapping[str, Tensor]


class Whole:
    """`calibrated` has every activation and weight on its grid; what it does at other widths of
    contractions is found without building a graph for each.

    Mean errors are taken out of biases contraction by contraction, each behind those that are
    corrected, on the study's first samples. Rounded weights are kept: the second assignment that
    asks for them is quicker.
    """

    def __init__(self, given: Study, calibrated: Graph) -> None:
        ends = compared(calibrated)
        if [name for name, _ in ends] != [name for name, _ in given.graph.outputs]:
            raise UsageError(f"{calibrated.name} has other outputs than {given.graph.name}")
        self._given = given
        self._network = Network(Graph(calibrated.name, calibrated.inputs, ends))
        self._sites = _placed(self._network.graph, given)
        self._weights: dict[tuple[str, int], Tensor] = {}
        with one_thread(), torch.inference_mode():
            real = Network(given.graph)
            places = _placed(given.graph, given)
            self._means = _real_means(real, given.samples[:MEASURED], places)

    def shifts(self, assignment: Assignment) -> Shifts:
        """What compiling adds to each bias, one number per channel."""
        network, found = self._network, dict[str, Tensor]()
        with one_thread(), torch.inference_mode():
            batches = network.batches(self._given.samples[:MEASURED])
            for step in network.steps:
                node = step.node
                for values in batches:
                    values[node] = self._value(node, values, assignment)
                if node in self._sites:
                    means = torch.cat([channel_means(node, values[node]) for values in batches])
                    found[node.name] = certain(self._means[node.name] - means)
                    for values in batches:
                        values[node] = values[node] + spread(node, found[node.name])
                for values, dead in ((v, d) for v in batches for d in step.dead):
                    values.pop(dead, None)
        return found

    def outputs(self, assignment: Assignment, samples: Sequence[Sample]) -> list[Tensor]:
        """What is judged, a row for each sample."""
        shifts = self.shifts(assignment)
        batches = self._network.batches(samples)

        def one(values: Values) -> list[Tensor]:
            with torch.inference_mode():
                return self._run(dict(values), assignment, shifts)

        with one_thread():
            found = list(in_order(one, batches, threads=self._given.threads))
        return [torch.cat(column) for column in zip(*found, strict=True)]

    def real_outputs(self, samples: Sequence[Sample]) -> list[Tensor]:
        """The same of the real network."""
        network = Network(self._given.graph)

        def one(values: Values) -> list[Tensor]:
            with torch.inference_mode():
                return network.outputs(values)

        with one_thread():
            found = list(in_order(one, network.batches(samples), threads=self._given.threads))
        return [torch.cat(column) for column in zip(*found, strict=True)]

    def _run(self, values: Values, assignment: Assignment, shifts: Shifts) -> list[Tensor]:
        network = self._network
        for step in network.steps:
            node = step.node
            value = self._value(node, values, assignment)
            site = self._sites.get(node)
            values[node] = value if site is None else value + spread(node, shifts[site.name])
            for dead in step.dead:
                values.pop(dead, None)
        return [network.value(end, values) for end in network.graph.results]

    def _value(self, node: Node, values: Values, assignment: Assignment) -> Tensor:
        site = self._sites.get(node)
        if site is None:
            return self._network.apply(node, values)
        found, widths = weight(node), assignment[node.name]
        assert found is not None
        place = node.operands.index(found[0])
        operands = [self._network.value(o, values) for o in node.operands]
        operands[place] = self._weight(site, widths.weight)
        form = site.formats[widths.activation]
        if form is not None and widths.activation != site.recipe.activation.elem.bits:
            operands[1 - place] = snapped(operands[1 - place], *form)
        return self._network.applied(node, operands)

    def _weight(self, site: Site, bits: int) -> Tensor:
        key = (site.name, bits)
        if key not in self._weights:
            self._weights[key] = in_reading_order(tensor(site.weights(bits)))
        return self._weights[key]


def _placed(graph: Graph, given: Study) -> dict[Node, Site]:
    """The sites' contractions in this graph."""
    sites = {site.name: site for site in given.sites}
    kinds = Conv | ConvTranspose | MatMul
    return {n: sites[n.name] for n in graph.nodes if isinstance(n, kinds) and n.name in sites}


def _real_means(
    network: Network, samples: Sequence[Sample], places: Mapping[Node, Site]
) -> dict[str, Tensor]:
    """[samples, channels] of each contraction's real value."""
    found: dict[str, list[Tensor]] = {site.name: [] for site in places.values()}
    for values in network.batches(samples):
        for step in network.steps:
            network.run([step], values)
            if step.node in places:
                found[step.node.name].append(channel_means(step.node, values[step.node]))
    return {name: torch.cat(parts) for name, parts in found.items()}
