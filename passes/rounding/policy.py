"""Which integers a weight gets: nearest, or those that disturb what the layer gives least."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qcompile.passes.rounding.adaround import adaround
from qcompile.passes.rounding.descent import descend
from qcompile.passes.rounding.gptq import DAMPING, damped, gptq
from qcompile.passes.rounding.grid import Grid, losses
from qcompile.passes.rounding.moments import Moments

Values = NDArray[Any]
Search: TypeAlias = Callable[[Values, Values, Grid], Values]
"""(w [groups, rows, n], hessian [groups, n, n], grid) → integers as float64, of w's shape."""


@dataclass(frozen=True)
class Rounded:
    """Integers, and the real rows that they stand for."""

    q: Values
    aim: Values


Way: TypeAlias = Callable[[Values, Moments, Grid], Rounded]


@dataclass(frozen=True)
class Policy:
    """Several ways to round; each layer takes the one that loses least on samples it has not seen.

    Of two halves of the samples each is rounded for and lost on in turn; then the way found is
    taken on all. The first way is that to the nearest, so that nothing is done for chance's sake.
    """

    ways: Sequence[Way]

    def __call__(self, w: Values, halves: Sequence[Moments], grid: Grid) -> Rounded:
        """`w` [groups, rows, n] on the grid, for inputs of these moments."""
        whole = reduce(add, halves)
        if len(halves) < 2 or len(self.ways) < 2:
            return self.ways[0](w, whole, grid)

        def lost(way: Way) -> float:
            turns = (halves, halves[::-1])
            return sum(b.lost(w, grid.scale * way(w, a, grid).q) for a, b in turns)

        return min(self.ways, key=lost)(w, whole, grid)


def to_nearest(w: Values, seen: Moments, grid: Grid) -> Rounded:
    """Each weight's own nearest integer; the inputs do not matter."""
    return Rounded(grid.nearest(w), w)


@dataclass(frozen=True)
class Repaired:
    """Rounds for what the layer gives in the real network, on the inputs that it has.

    The rows that come nearest to that are w + (A⁻¹ Cᵀ)ᵀ w: they make good what errors of layers
    before can be told from the inputs, and are then rounded like any rows (the asymmetric form of
    Nagel et al., arXiv 2004.10568, section 3.3, solved before the grid is looked at). Where the
    samples do not agree on a C it shrinks to zero, and w itself is rounded.
    """

    search: Search

    def __call__(self, w: Values, seen: Moments, grid: Grid) -> Rounded:
        """Integers for the repaired rows."""
        heavy = damped(seen.hessian, DAMPING)
        owed = np.linalg.solve(heavy, (w @ seen.shift).swapaxes(1, 2)).swapaxes(1, 2)
        return Rounded(self.search(w + owed, heavy, grid), w + owed)


def fed_back(w: Values, hessian: Values, grid: Grid) -> Values:
    """GPTQ, then coordinate descent; a row keeps its nearest integers where they lose no more.

    The loss of a row is (w − scale·q)ᵀ H (w − scale·q).
    """
    return _no_worse(w, descend(w, gptq(w, hessian, grid), hessian, grid), hessian, grid)


def learned(w: Values, hessian: Values, grid: Grid) -> Values:
    """AdaRound, then coordinate descent; a row keeps its nearest integers as in `fed_back`."""
    return _no_worse(w, descend(w, adaround(w, hessian, grid), hessian, grid), hessian, grid)


def _no_worse(w: Values, found: Values, hessian: Values, grid: Grid) -> Values:
    own = grid.nearest(w)
    kept = losses(w - grid.scale * own, hessian) <= losses(w - grid.scale * found, hessian)
    return np.where(kept[:, :, None], own, found)


NEAREST = "nearest"
POLICIES: Mapping[str, Policy] = {
    NEAREST: Policy((to_nearest,)),
    "gptq": Policy((to_nearest, Repaired(fed_back))),
    "learned": Policy((to_nearest, Repaired(learned))),
    "best": Policy((to_nearest, Repaired(fed_back), Repaired(learned))),
}
