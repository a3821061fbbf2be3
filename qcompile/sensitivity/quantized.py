"""One contraction under each of its options, in torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from qcompile.calibrate.collect import in_order
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.widths import Widths
from qcompile.passes.roles import weight
from qcompile.sensitivity.network import Network, Values, in_reading_order
from qcompile.sensitivity.sites import Site
from qcompile.sensitivity.torch_ops import Tensor, snapped, tensor
from qcompile.sensitivity.walk import Change, Walk

MEASURED = 16  # samples for mean errors


class Quantized:
    """The contraction's value where its weight and its input are on the grids of an option."""

    def __init__(
        self, network: Network, node: Node, site: Site, options: Sequence[Widths], threads: int
    ) -> None:
        found = weight(node)
        assert found is not None
        self._network, self._node, self._options = network, node, options
        self._place = node.operands.index(found[0])
        bits = sorted({option.weight for option in options})
        arrays = in_order(site.weights, bits, threads=threads)
        self._weights = {
            b: in_reading_order(tensor(array)) for b, array in zip(bits, arrays, strict=True)
        }
        self._formats = {option.activation: site.formats[option.activation] for option in options}

    def values(self, given: Values) -> Iterator[Tensor]:
        """One value for each option; `given` holds what the contraction reads."""
        operands = [self._network.value(o, given) for o in self._node.operands]
        x = operands[1 - self._place]
        snaps = {b: x if f is None else snapped(x, *f) for b, f in self._formats.items()}
        for option in self._options:
            operands[self._place] = self._weights[option.weight]
            operands[1 - self._place] = snaps[option.activation]
            yield self._network.applied(self._node, operands)

    def mean_errors(self, given: Values) -> list[Tensor]:
        """Per option [samples, channels]: by how much each channel is too great."""
        real = self._network.apply(self._node, given)
        return [channel_means(self._node, value - real) for value in self.values(given)]

    def shifted(self, shifts: Sequence[Tensor]) -> Change:
        """The values with what each channel is too great subtracted."""

        def change(_: int, given: Values) -> Iterator[Tensor]:
            for value, shift in zip(self.values(given), shifts, strict=True):
                yield value - spread(self._node, shift)

        return change


def mean_shifts(change: Quantized, walk: Walk) -> list[Tensor]:
    """Per option the mean error of each channel, as compiling takes it out of the bias."""
    few = max(MEASURED // walk.network.batch, 1)
    parts = walk.each(lambda i: change.mean_errors(walk.batches[i]), few)
    return [certain(torch.cat(errors)) for errors in zip(*parts, strict=True)]


def certain(errors: Tensor) -> Tensor:
    """The mean over samples, less what they show by chance: m · max(0, 1 − e²/m²), e its standard
    error."""
    mean = errors.mean(0)
    if len(errors) < 2:
        return mean
    doubt = errors.var(0, correction=1) / len(errors)
    return mean * (1 - doubt / mean.square().clamp_min(1e-300)).clamp_min(0)


def channel_means(node: Node, value: Tensor) -> Tensor:
    """[samples, channels] of a value of this contraction."""
    axes = tuple(a for a in range(1, value.ndim) if a != _channels(node))
    return value.mean(axes, dtype=torch.float64) if axes else value.to(torch.float64)


def spread(node: Node, shift: Tensor) -> Tensor:
    """One number per channel in a shape that is added to the contraction's value."""
    ones = (1,) * (node.type.rank - 1 - _channels(node))
    return shift.to(torch.float32).reshape(-1, *ones)


def _channels(node: Node) -> int:
    return node.type.rank - 1 if isinstance(node, MatMul) else 1
