"""What calibration remembers of an edge: extremes per channel and a histogram."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.calibrate.histogram import Histogram, histogram
from qcompile.errors import CalibrationError


@dataclass(frozen=True)
class Statistics:
    """Least and greatest value per channel (axis 1; one channel for ranks below 2), and counts."""

    low: NDArray[np.float32]
    high: NDArray[np.float32]
    counts: Histogram

    @property
    def lo(self) -> float:
        """The least value."""
        return float(self.low.min())

    @property
    def hi(self) -> float:
        """The greatest value."""
        return float(self.high.max())

    def __add__(self, other: Statistics) -> Statistics:
        return Statistics(
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
            self.counts + other.counts,
        )

    def repeated(self, times: int) -> Statistics:
        """As if everything had been seen `times` times."""
        seen = self.counts
        counts = Histogram(seen.exponent, seen.counts * times, seen.zeros * times)
        return Statistics(self.low, self.high, counts)


def statistics(values: NDArray[Any], *, where: str) -> Statistics:
    """The statistics of one array. `CalibrationError` for NaN or infinity, naming the edge."""
    if values.size == 0:
        raise CalibrationError(f"{where}: the value is empty: no range can be found")
    rows = np.moveaxis(values, 1, 0) if values.ndim >= 2 else values[None]
    rows = rows.reshape(rows.shape[0], -1)
    low, high = rows.min(1).astype(np.float32), rows.max(1).astype(np.float32)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise CalibrationError(
            f"{where}: the float model gives NaN or infinity on a calibration sample; "
            "check the sample's preprocessing"
        )
    largest = max(abs(float(low.min())), abs(float(high.max())))
    return Statistics(low, high, histogram(values, largest))
