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
    """

    count: int
    low: Values
    high: Values
    total: Values
    energy: Values

    @property
    def largest(self) -> Values:
        """max |x| of each channel."""
        return np.maximum(self.high, -self.low)

    @property
    def magnitude(self) -> Values:
        """Mean |x| of each channel."""
        return self.total / self.count

    def __add__(self, other: Channels) -> Channels:
        return Channels(
            self.count + other.count,
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
            self.total + other.total,
            self.energy + other.energy,
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
    return Channels(
        x.shape[0],
        x.min(0),
        x.max(0),
        np.abs(x).sum(0),
        np.square(x).sum(0),
    )
