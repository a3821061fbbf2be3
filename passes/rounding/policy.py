"""Which integers a weight gets: nearest, or those that disturb what the layer reads least."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qcompile.passes.rounding.descent import descend
from qcompile.passes.rounding.gptq import DAMPING, damped, gptq
from qcompile.passes.rounding.grid import Grid, losses

Values = NDArray[Any]
Policy: TypeAlias = Callable[[Values, Values, Grid], Values]
"""(w [groups, rows, n], hessian [groups, n, n], grid) → integers as float64, of w's shape."""


def nearest(w: Values, hessian: Values, grid: Grid) -> Values:
    """Each weight's own nearest integer; the inputs do not matter."""
    return grid.nearest(w)


def least_loss(w: Values, hessian: Values, grid: Grid) -> Values:
    """GPTQ, then coordinate descent; a row keeps its nearest integers where they lose no more.

    The loss of a row is (w − scale·q)ᵀ H (w − scale·q), H damped.
    """
    heavy = damped(hessian, DAMPING)
    own = grid.nearest(w)
    found = descend(w, gptq(w, heavy, grid), heavy, grid)
    kept = losses(w - grid.scale * own, heavy) <= losses(w - grid.scale * found, heavy)
    return np.where(kept[:, :, None], own, found)


NEAREST = "nearest"
POLICIES: Mapping[str, Policy] = {NEAREST: nearest, "gptq": least_loss}
