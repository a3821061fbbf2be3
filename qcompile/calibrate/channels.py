"""What calibration remembers of channels: extremes, mean absolute values, second moments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.calibrate.collect import Sample, in_order
from qcompile.errors import CalibrationError
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node

WIDEST = 4096  # channels whose products are kept: n² numbers
Edge = tuple[Node, int]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Channels:
    """Sums over tokens, a token being one index of all axes but the channels'.

    Of each channel, [n]: `low` and `high`, the extremes; `total` = Σ |x|; `energy` = Σ x².
    `products` = Σ xᵀx, [n, n], None beyond 4096 channels. `peaks` = Σ max² over a token's channels.
    """

    count: int
    low: Values
    high: Values
    total: Values
    energy: Values
    products: Values | None
    peaks: float

    @property
    def largest(self) -> Values:
        """max |x| of each channel."""
        return np.maximum(self.high, -self.low)

    @property
    def magnitude(self) -> Values:
        """Mean |x| of each channel."""
        return self.total / self.count

    @property
    def moment(self) -> Values | None:
        """E[xᵀx]."""
        return None if self.products is None else self.products / self.count

    @property
    def peak_to_average(self) -> float:
        """n · E[max x²] / E[Σ x²]: 1 when all channels of a token are alike, n when one is alone.

        The error of one scale for each token is proportional to it.
        """
        whole = float(self.energy.sum())
        return self.low.size * self.peaks / whole if whole > 0 else 1.0

    def __add__(self, other: Channels) -> Channels:
        return Channels(
            self.count + other.count,
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
            self.total + other.total,
            self.energy + other.energy,
            _sum(self.products, other.products),
            self.peaks + other.peaks,
        )


def channels(values: NDArray[Any], axis: int, *, where: str) -> Channels:
    """Of one array. `CalibrationError` for an empty one, NaN or infinity, naming the edge."""
    x = np.moveaxis(values, axis, -1).reshape(-1, values.shape[axis]).astype(np.float64)
    if x.size == 0:
        raise CalibrationError(f"{where}: the value is empty: no range can be found")
    if not np.isfinite(x).all():
        raise CalibrationError(
            f"{where}: the float model gives NaN or infinity on a calibration sample; "
            "check the sample's preprocessing"
        )
    squares = np.square(x)
    return Channels(
        x.shape[0],
        x.min(0),
        x.max(0),
        np.abs(x).sum(0),
        squares.sum(0),
        x.T @ x if x.shape[1] <= WIDEST else None,
        float(squares.max(1).sum()),
    )


def collect_channels(
    graph: Graph, edges: Sequence[Edge], samples: Iterable[Sample], *, threads: int = 1
) -> list[Channels]:
    """Of each (value, channel axis) over all samples; the bits do not depend on `threads`."""
    axes: dict[Node, list[int]] = {}
    for node, axis in edges:
        axes.setdefault(node, []).append(axis)

    def one(sample: Sample) -> list[Channels]:
        found: dict[Edge, Channels] = {}
        for node, value in graph.values(sample, keep=list(axes)):
            for axis in axes[node]:
                found[node, axis] = channels(value, axis, where=node.name or node.op)
        return [found[edge] for edge in edges]

    total: list[Channels] | None = None
    for part in in_order(one, samples, threads=threads):
        total = part if total is None else [a + b for a, b in zip(total, part, strict=True)]
    if total is None:
        raise CalibrationError("no calibration samples: give at least one")
    return total


def _sum(a: Values | None, b: Values | None) -> Values | None:
    return None if a is None or b is None else a + b
