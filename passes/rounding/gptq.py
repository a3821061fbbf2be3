"""GPTQ: weights rounded one column after another, each error passed on to columns not yet rounded.

Frantar et al., arXiv 2210.17323, section 3, in the form of Chee et al., arXiv 2307.13304, section
4, which gives the same integers from one triangular factor: with H = U D Uᵀ, U unit upper,

    q_i = nearest(w_i + Σ_{j<i} (w_j − q_j) U_ji)   and   (w − q)ᵀ H (w − q) = Σ_i D_ii e_i²

where e_i is what that rounding leaves. No inverse of H is taken.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.passes.rounding.grid import Grid, permuted

Values = NDArray[Any]
DAMPING = 0.01  # of the mean diagonal
BLOCK = 128  # columns whose errors travel together


def gptq(w: Values, hessian: Values, grid: Grid) -> Values:
    """Integers (as float64) for `w` [g, rows, n] under `hessian` [g, n, n], heaviest column first.

    Where the Hessian has no factor it is damped until it has one, ten times more each time.
    Columns that no input reaches are rounded to nearest.
    """
    order = np.argsort(-diagonal(hessian), axis=1, kind="stable")
    turned = np.take_along_axis(hessian, order[:, :, None], 1)
    upper = unit_upper(np.take_along_axis(turned, order[:, None, :], 2))
    q = _feed_back(permuted(w, order), upper, grid.permuted(order))
    return permuted(q, np.argsort(order, axis=1))


def damped(hessian: Values, share: float) -> Values:
    """H + share · mean(diag H) · I; the identity for an H of zeros."""
    mean = diagonal(hessian).mean(1)
    found, places = hessian.copy(), range(hessian.shape[-1])
    found[:, places, places] += np.where(mean > 0, share * mean, 1.0)[:, None]
    return found


def unit_upper(hessian: Values) -> Values:
    """U of H = U D Uᵀ, unit upper triangular; [g, n, n]."""
    share, last = 0.0, hessian
    while True:
        try:
            lower = np.linalg.cholesky(last[:, ::-1, ::-1])
        except np.linalg.LinAlgError:
            share = max(10 * share, DAMPING)
            last = damped(hessian, share)
            continue
        upper = lower[:, ::-1, ::-1]
        return upper / diagonal(upper)[:, None, :]


def diagonal(matrices: Values) -> Values:
    """[g, n] of [g, n, n]."""
    return np.diagonal(matrices, axis1=1, axis2=2)


def _feed_back(w: Values, upper: Values, grid: Grid) -> Values:
    """Columns from first to last; errors leave a block of columns in one product."""
    n = w.shape[2]
    q, owed = np.empty(w.shape), np.array(w, np.float64)
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        for i in range(start, stop):
            q[..., i] = grid.columns(slice(i, i + 1)).nearest(owed[..., i : i + 1])[..., 0]
            scale = grid.columns(slice(i, i + 1)).scale[..., 0]
            error = w[..., i] - scale * q[..., i]
            owed[..., i + 1 : stop] += error[..., None] * upper[:, None, i, i + 1 : stop]
        part = slice(start, stop)
        errors = w[..., part] - grid.columns(part).scale * q[..., part]
        owed[..., stop:] += errors @ upper[:, part, stop:]
    return q
