"""Which integers a weight gets: nearest, or those that disturb what the layer reads least."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qcompile.passes.rounding.descent import descend
from qcompile.passes.rounding.gptq import DAMPING, damped, gptq
from qcompile.passes.rounding.grid import Grid, losses

SHARES = (0.0, 0.5, 0.8, 0.95, 1.0)  # of what moments say beside the diagonal
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


def trusted(w: Values, halves: Sequence[Values], grid: Grid) -> Values:
    """The moments of all samples, beside the diagonal as small as makes good on unseen samples.

    `halves` are the moments [g, n, n] of two halves of the samples. Of `SHARES` the one is taken
    with which GPTQ on one half loses least on the other, 0 (each weight to its nearest) among them:
    a few samples show correlations that others do not have, and errors hide there.
    """
    whole = np.asarray(np.mean(halves, 0))
    if len(halves) < 2:
        return weakened(whole, 0.0)
    seen, unseen = halves

    def lost(share: float) -> float:
        q = gptq(w, damped(weakened(seen, share), DAMPING), grid) if share else grid.nearest(w)
        return float(losses(w - grid.scale * q, unseen).sum())

    return weakened(whole, min(SHARES, key=lost))


def weakened(hessian: Values, share: float) -> Values:
    """`hessian` with what is beside the diagonal multiplied by `share`."""
    eye = np.eye(hessian.shape[-1])
    return hessian * (eye + share * (1 - eye))


NEAREST = "nearest"
POLICIES: Mapping[str, Policy] = {NEAREST: nearest, "gptq": least_loss}
