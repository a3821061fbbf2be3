"""Coordinate descent: one integer at a time moves to where the loss is least, others held.

Behdin et al., arXiv 2309.01885 (QuantEase), section 3.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.passes.rounding.grid import Grid

Values = NDArray[Any]
BLOCK = 128
SWEEPS = 8


def descend(w: Values, q: Values, hessian: Values, grid: Grid, *, sweeps: int = SWEEPS) -> Values:
    """`q` after cyclic sweeps over the columns, until one changes nothing; never a greater loss.

    Shapes as in `gptq`. The step for column i is exact: with r = (w − scale·q) H the least loss
    along it lies at scale·q_i + r_i / H_ii. Columns with H_ii = 0 stay.
    """
    q = np.array(q, np.float64)
    slope = (w - grid.scale * q) @ hessian
    for _ in range(sweeps):
        before = q.copy()
        _sweep(q, slope, hessian, grid)
        if np.array_equal(q, before):
            break
    return q


def _sweep(q: Values, slope: Values, hessian: Values, grid: Grid) -> None:
    """One sweep, `q` and `slope` updated in place; moves leave a block in one product."""
    n = q.shape[2]
    heights = np.diagonal(hessian, axis1=1, axis2=2)
    for start in range(0, n, BLOCK):
        part = slice(start, min(start + BLOCK, n))
        within, moved = slope[..., part].copy(), np.zeros_like(q[..., part])
        block = hessian[:, part, part]
        for i in range(part.stop - start):
            one = grid.columns(slice(start + i, start + i + 1))
            height = heights[:, start + i, None]
            at = one.scale[..., 0] * q[..., start + i]
            aim = at + within[..., i] / np.where(height > 0, height, 1.0)
            new = np.where(height > 0, one.nearest(aim[..., None])[..., 0], q[..., start + i])
            moved[..., i] = one.scale[..., 0] * (new - q[..., start + i])
            within -= moved[..., i : i + 1] * block[:, None, i, :]
            q[..., start + i] = new
        slope -= moved @ hessian[:, part, :]
