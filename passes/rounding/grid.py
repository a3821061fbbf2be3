"""The grid that a weight's integers live on, and what leaving the weight costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Grid:
    """real = scale · q with lo ≤ q ≤ hi; `scale` has the weights' shape, or broadcasts to it.

    So a scale may belong to a row, to a block of columns, or to everything.
    """

    scale: Values
    lo: int
    hi: int

    def nearest(self, w: Values) -> Values:
        """The nearest integers, ties to even, saturated; as float64."""
        return np.clip(np.rint(w / self.scale), self.lo, self.hi)

    def permuted(self, order: Values) -> Grid:
        """The grid of the weights' columns in this order, one order for each block [g, n]."""
        return Grid(permuted(self.scale, order), self.lo, self.hi)

    def columns(self, part: slice) -> Grid:
        """The grid of some columns."""
        own = self.scale[..., part] if self.scale.shape[-1] > 1 else self.scale
        return Grid(own, self.lo, self.hi)


def permuted(values: Values, order: Values) -> Values:
    """[g, rows, n] with its columns in the order [g, n]; a single column stays."""
    if values.shape[-1] == 1:
        return values
    wide = np.broadcast_to(values, (order.shape[0], *values.shape[1:]))
    return np.take_along_axis(wide, order[:, None, :], 2)


def losses(error: Values, hessian: Values) -> Values:
    """eᵀ H e of each row: `error` [g, rows, n], `hessian` [g, n, n], the result [g, rows]."""
    return ((error @ hessian) * error).sum(2)
