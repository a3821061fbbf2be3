"""Scales for sites that no weight reads: queries against keys, inputs of a state against outputs.

Nothing but the values themselves can judge there. A tensor with one range for all channels has the
same error in each; relative to a channel's own power that is max² / power, and least, for all
channels together, when they are alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.analysis.axes import Site
from qcompile.analysis.axes.members import Member
from qcompile.calibrate.channels import Channels
from qcompile.ir.ops.shape import Concat, Expand, Gather, Pad, Reshape, Slice, Transpose

Values = NDArray[Any]
MOVES = (Concat, Expand, Gather, Pad, Reshape, Slice, Transpose)
STEPS = 255.0  # between the ends of 8 bits, which values beside contractions have
SMALLEST = 1e-6


@dataclass(frozen=True)
class Edge:
    """Of one edge, [blocks, size] each: greatest magnitudes, mean squares; its exponent of s."""

    largest: Values
    power: Values
    exponent: float


def computed(site: Site) -> tuple[Member, ...]:
    """The edges whose values are new, not those of another edge moved."""
    return tuple(m for m in site.edges if not isinstance(m.value, MOVES))


def edge(member: Member, stats: Sequence[Channels]) -> Edge:
    """What balancing looks at."""
    return Edge(
        np.stack([s.largest for s in stats]),
        np.stack([s.energy / s.count for s in stats]),
        float(member.exponent),
    )


def balanced(edges: Sequence[Edge]) -> Values:
    """The s for which all edges v·s^exponent are as even as one s can make them.

    log s = −Σ e·(log r − its mean) / Σ e²: the least squares of the logarithms of all ranges r
    around their edge's mean. For one pair of exponents −1 and 1 these are the √(r₁/r₂) of Nagel
    et al. (arXiv 1906.04721), section 4.1.
    """
    shape = edges[0].largest.shape
    total = np.zeros(shape)
    for one in edges:
        peak = max(float(one.largest.max()), SMALLEST)
        logs = np.log(np.maximum(one.largest, SMALLEST * peak))
        total -= one.exponent * (logs - logs.mean())
    return np.exp(total / sum(one.exponent**2 for one in edges))


def relative_error(edges: Sequence[Edge], s: Values) -> float:
    """Mean over edges and channels of (range / steps)² / 12 / power with one range for an edge."""
    found: list[float] = []
    for one in edges:
        factor = s**one.exponent
        power = one.power * factor**2
        step = 2 * float((one.largest * factor).max()) / STEPS
        alive = power > SMALLEST**2 * power.max(initial=0)
        found.append(float((step**2 / 12 / power[alive]).mean()) if alive.any() else 0.0)
    return float(np.mean(found))
