"""Factors of the products that contractions read: quantized before they meet, with one range each.

y·g stands in front of a projection, behind a gate or a state space. Scales that suit the product
can leave one of its factors uneven, and no contraction reads that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qcompile.analysis.axes.members import Member
from qcompile.analysis.axes.sites import Site
from qcompile.calibrate.channels import Channels
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Mul
from qcompile.ir.ops.shape import Reshape, Slice, Transpose
from qcompile.passes.transforms.constants import Change
from qcompile.passes.transforms.probes import Probe
from qcompile.passes.transforms.readers import Contraction, Reader

Values = NDArray[Any]
Shares: TypeAlias = NDArray[Any]
"""[blocks, size], of sum 1: the part of each channel in what is read."""
TINY = 1e-300


@dataclass(frozen=True)
class Factor:
    """A member that is quantized with one range of `steps` steps; `stats` of each of its blocks."""

    member: Member
    stats: tuple[Channels, ...]
    steps: int

    def errors(self, shares: Shares, changes: Sequence[Change]) -> list[float]:
        """What its rounding adds to the relative error of what is read, as it is and after each
        of the changes.

        A channel of a product has the relative error of its factor's, Δ²/12 over the mean square
        and at most 1, and counts by its share, [blocks, size], in what contractions give.
        """
        blocks = len(self.stats)
        rows = np.concatenate(
            [
                np.stack([own.low for own in self.stats]),
                np.stack([own.high for own in self.stats]),
                np.stack([np.sqrt(own.energy / own.count) for own in self.stats]),
            ]
        )
        ids = np.tile(np.arange(blocks), 3)
        turned = [rows, *(change(self.member, rows, ids) for change in changes)]
        return [self._error(shares, *np.split(each, 3)) for each in turned]

    def _error(self, shares: Shares, low: Values, high: Values, root: Values) -> float:
        step = (max(float(high.max()), 0.0) - min(float(low.min()), 0.0)) / self.steps
        relative = np.minimum(step * step / 12 / np.maximum(np.square(root), TINY), 1.0)
        return float((shares * relative).sum())


def factors(
    site: Site, own: Sequence[Reader], bits: Mapping[Node, Sequence[int]]
) -> dict[Member, int]:
    """The site's edges that are quantized and meet others in products that are read, with the steps
    of their ranges; `bits` are the widths in which values are quantized."""
    read = {r.edge.value for r in own}
    products = [made for made in map(_source, read) if isinstance(made, Mul)]
    meeting = {_source(factor) for made in products for factor in (made.a, made.b)}
    return {
        m: (1 << bits[m.value][0]) - 1
        for m in {m.value: m for m in site.edges}.values()
        if m.value in meeting and m.value not in read and m.value in bits
    }


def shares(site: Site, own: Sequence[Reader], probes: Mapping[Contraction, Probe]) -> Shares:
    """The part of each channel in what the contractions give, [blocks, size]; their sum is 1.

    A channel's part is E[x²]·Σ w² over the weights w that read it, each contraction counting alike.
    """
    shape = (site.count, site.size)
    parts = [_part(r, probes[r.node], shape) for r in own]
    total = np.sum([part / max(float(part.sum()), TINY) for part in parts], axis=0)
    return total / max(float(total.sum()), TINY)


def _part(reader: Reader, probe: Probe, shape: tuple[int, int]) -> Values:
    power, energy = np.zeros(shape), np.zeros(shape)
    for x in probe.operands:
        rows, ids = reader.edge.rows(x)
        np.add.at(power, ids, np.square(rows))
    weights, ids = reader.weight.rows(probe.weights)
    np.add.at(energy, ids, np.square(weights))
    return power * energy


def _source(value: Node) -> Node:
    """What moves bring."""
    while isinstance(value, Reshape | Transpose | Slice):
        value = value.x
    return value
