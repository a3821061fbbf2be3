"""AdaRound: each weight learns whether it goes up or down, softly at first and then for good.

Nagel et al., arXiv 2004.10568, section 3: with h(V) = clip(1.2 σ(V) − 0.1, 0, 1) between the two
neighbours on the grid, minimised by Adam over V,

    loss(floor(w/s) + h(V)) + λ Σ (1 − |2 h(V) − 1|^β),    β falling from 20 to 2,

the second term only after the first fifth of the steps. There the loss is an average over batches
of inputs; here it is the same average over all of them at once, by their second moments, so that
nothing is drawn by chance. It is in units of what the nearest integers lose: one λ fits all layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.passes.rounding.grid import Grid, losses

Values = NDArray[Any]
STEPS = 400
RATE = 0.05  # Adam's, for V
WEIGHT = 10.0  # λ, where the nearest integers lose 1 for each weight
STRETCH, BELOW = 1.2, 0.1
STEEPEST, FLATTEST = 20.0, 2.0
FREE = 0.2  # of the steps, before weights are urged to either side
TINY = 1e-12
F32 = np.float32


def adaround(w: Values, hessian: Values, grid: Grid, *, steps: int = STEPS) -> Values:
    """Integers (as float64) for `w` [g, rows, n] under `hessian` [g, n, n]: one of both neighbours.

    A row keeps its nearest integers where they lose no more. The search is in float32, what is
    compared in float64.
    """
    near, low = grid.nearest(w), np.floor(w / grid.scale)
    before = losses(w - grid.scale * near, hessian)
    up = _searched(w, low, hessian, grid, before, steps)
    found = np.clip(low + up, grid.lo, grid.hi)
    kept = before <= losses(w - grid.scale * found, hessian)
    return np.where(kept[..., None], near, found)


def _searched(
    w: Values, low: Values, hessian: Values, grid: Grid, before: Values, steps: int
) -> Values:
    """Which weights go up."""
    rest = w / grid.scale - low
    free = (low + 1 <= grid.hi) & (low >= grid.lo)
    heavy = w.shape[2] / np.maximum(before, TINY * before.max(initial=TINY))
    pull = np.asarray(np.where(free, -2 * grid.scale * heavy[..., None], 0.0), F32)
    # the error with nothing up; a weight that is clipped stays where it is
    base = np.asarray(w - grid.scale * np.clip(low, grid.lo, grid.hi), F32)
    step_up = np.asarray(np.where(free, grid.scale, 0.0), F32)
    curve = np.asarray(hessian, F32)
    soft = _Soft.between(np.asarray(rest, F32))
    for step in range(steps):
        slope = pull * ((base - step_up * soft.up) @ curve)
        if step >= FREE * steps:
            slope += _urge(soft.up, (step / steps - FREE) / (1 - FREE))
        soft.move(slope, step)
    return soft.up >= 0.5


def _urge(up: Values, done: float) -> Values:
    """The slope of λ Σ (1 − |2h − 1|^β) when the part `done` of its steps is behind."""
    beta = STEEPEST + (FLATTEST - STEEPEST) * done
    side = 2 * up - 1
    steep = np.exp(F32(beta - 1) * np.log(np.maximum(np.abs(side), F32(TINY))))
    return F32(-2 * WEIGHT * beta) * np.sign(side) * steep


@dataclass
class _Soft:
    """V with σ(V) and h(V), and the two averages of Kingma & Ba, arXiv 1412.6980, algorithm 1."""

    v: Values
    part: Values
    up: Values
    first: Values
    second: Values

    @staticmethod
    def between(rest: Values) -> _Soft:
        """The V with h(V) = rest."""
        part = (rest + F32(BELOW)) / F32(STRETCH)
        v = np.log(part / (1 - part))
        return _Soft(v, part, rest, np.zeros_like(v), np.zeros_like(v))

    def move(self, slope: Values, step: int) -> None:
        """One step of Adam down the slope of h, through h; in place for speed."""
        inside = (self.up > 0) & (self.up < 1)
        slope *= self.part * (F32(STRETCH) - F32(STRETCH) * self.part) * inside
        self.first += F32(0.1) * (slope - self.first)
        self.second += F32(0.001) * (slope * slope - self.second)
        spread = np.sqrt(self.second / F32(1 - 0.999 ** (step + 1))) + F32(1e-8)
        self.v -= F32(RATE / (1 - 0.9 ** (step + 1))) * self.first / spread
        self.part = 1 / (1 + np.exp(-self.v))
        self.up = np.clip(F32(STRETCH) * self.part - F32(BELOW), 0, 1)
