"""What calibration remembers of channels: extremes, mean absolute values, second moments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.errors import CalibrationError

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Channels:
    """Sums over vectors of n channels.

    Of each channel, [n]: `low` and `high`, the extremes; `total` = Σ |x|; `energy` = Σ x².
    `peaks` = Σ max x², the greatest of each vector.
    """

    count: int
    low: Values
    high: Values
    total: Values
    energy: Values
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
    def peak_to_average(self) -> float:
        """n · E[max x²] / E[Σ x²]: 1 when all channels of a vector are alike, n for one alone.

        The error of one scale for each vector is proportional to it.
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
            self.peaks + other.peaks,
        )


def channels(vectors: NDArray[Any], *, where: str) -> Channels:
    """Of [vectors, n]. `CalibrationError` for no vectors, NaN or infinity, naming the edge."""
    x = vectors.astype(np.float64)
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
        float(squares.max(1).sum()),
    )
