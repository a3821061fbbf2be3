"""One number per contraction: how much of an error in its value arrives at the outputs.

damage(option) = coefficient · the option's own relative error, where the coefficient is measured
once with noise of known power (Q-Palette, arXiv 2509.20214, calls this linearity).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import ClassVar
from zlib import crc32

import torch

from qcompile.ir.node import Node
from qcompile.ir.widths import Widths
from qcompile.sensitivity.local_error import local_errors
from qcompile.sensitivity.network import Values, versions
from qcompile.sensitivity.quantized import Quantized
from qcompile.sensitivity.study import Study
from qcompile.sensitivity.torch_ops import Tensor
from qcompile.sensitivity.walk import Walk, power, stops

SHARE = 1e-3  # of the value's power: as much as four bits do


@dataclass(frozen=True)
class LossCoefficient:
    """A fifth of the work of measuring five options; blind to what kind of error it is."""

    name: ClassVar[str] = "loss-coefficient"

    @property
    def facts(self) -> Mapping[str, str]:
        """torch's version and what it makes of this processor."""
        return versions()

    def measure(
        self, study: Study, wanted: Mapping[str, Sequence[Widths]]
    ) -> Iterator[tuple[str, Widths, float]]:
        """One contraction after the other, in graph order."""
        for stop in stops(study, wanted):
            network, options = stop.walk.network, stop.options
            change = Quantized(network, stop.node, stop.site, options, study.threads)
            errors = local_errors(stop.node, change, stop.walk)
            coefficient = _coefficient(stop.node, stop.walk)
            found = zip(options, errors, strict=True)
            yield from ((stop.site.name, widths, coefficient * error) for widths, error in found)


def _coefficient(node: Node, walk: Walk) -> float:
    """Damage over relative power of white noise on the node's value."""
    signal = walk.each(lambda i: power(walk.network.apply(node, walk.batches[i])))
    sizes = walk.each(lambda i: walk.network.apply(node, walk.batches[i]).numel())
    deviation = sqrt(SHARE * sum(signal) / sum(sizes))

    def noisy(i: int, values: Values) -> Iterator[Tensor]:
        real = walk.network.apply(node, values)
        seeded = torch.Generator().manual_seed(crc32(f"{node.name} {i}".encode()))
        yield real + deviation * torch.randn(real.shape, generator=seeded)

    return walk.damages(node, noisy)[0] / SHARE
