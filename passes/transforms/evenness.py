"""Scales for sites that no weight reads: queries against keys, inputs of a state against outputs.

A value with one range for all channels has the same error in each, so a channel that is far out
costs the others; least is lost when the ranges of both factors are even.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.analysis.axes.members import Member
from qcompile.calibrate.channels import Channels

Values = NDArray[Any]
SMALLEST = 1e-6


@dataclass(frozen=True)
class Edge:
    """The greatest magnitudes of one edge, [blocks, size], and its exponent of s."""

    largest: Values
    exponent: float


def edge(member: Member, stats: Sequence[Channels]) -> Edge:
    """What balancing looks at."""
    return Edge(np.stack([s.largest for s in stats]), float(member.exponent))


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
