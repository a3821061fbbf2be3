"""Which matrices a site may get: names and numbers, as pure functions.

Papers: QuaRot (arXiv 2404.00456), section 4, for Hadamard matrices; MambaQuant (arXiv 2501.13484),
section 4.1, for those behind a Karhunen-Loève transform, and section 4.2 for scales in front.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.numerics.hadamard import block_size, constructible
from qcompile.numerics.rotations import klt, klt_hadamard
from qcompile.passes.transforms.changes import behind, scaling, spreading, turning
from qcompile.passes.transforms.constants import Change
from qcompile.passes.transforms.smoothing import Seen, smoothquant

Matrices = NDArray[Any]
BLOCKS = (16, 32, 64, 128)
ALPHAS = (0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class Wanted:
    """A site's `size`, how many blocks it has, and E[xᵀx] of each, [count, size, size]; None where
    there are fewer vectors than channels. `seen` only where scales may act, too; `groups` are the
    lengths of the runs of weights that share a step. `seed` and those behind it draw the signs of
    Hadamard matrices, `draws` times; 0 leaves them out."""

    size: int
    count: int
    moments: Matrices | None
    seed: int
    seen: Seen | None = None
    groups: tuple[int, ...] = ()
    draws: int = 1


@dataclass(frozen=True)
class Candidate:
    """What it does to vectors, the words for it, and the order of its Hadamard matrix; 0 where it
    has none."""

    words: str
    change: Change
    order: int = 0


def whole(wanted: Wanted) -> Iterator[Candidate]:
    """A Hadamard matrix with random signs; of the largest blocks where the size has none."""
    order = block_size(wanted.size)
    if order > 1:
        words = "hadamard" if order == wanted.size else f"hadamard of blocks of {order}"
        yield from _signed(wanted, words, order)


def blocks(wanted: Wanted) -> Iterator[Candidate]:
    """Hadamard matrices of blocks: an outlier stays among its neighbours, and where weights share a
    step in groups, in its group."""
    for order in sorted({*BLOCKS, *wanted.groups}):
        if order < wanted.size and wanted.size % order == 0 and constructible(order):
            yield from _signed(wanted, f"hadamard of blocks of {order}", order)


def _signed(wanted: Wanted, words: str, order: int) -> Iterator[Candidate]:
    """One for each draw of the signs; without signs there is but one."""
    for draw in range(wanted.draws if wanted.seed else 1):
        told = words if draw == 0 else f"{words}, draw {draw + 1}"
        yield Candidate(told, spreading(order, seed=wanted.seed + draw), order)


def even(wanted: Wanted) -> Iterator[Candidate]:
    """K·H: all channels get the same variance."""
    if wanted.moments is not None:
        matrices = np.stack([klt_hadamard(m) for m in wanted.moments])
        order = wanted.size if constructible(wanted.size) else 0
        yield Candidate("klt-hadamard", turning(matrices), order)


def principal(wanted: Wanted) -> Iterator[Candidate]:
    """K alone: for comparison, since it gathers what K·H spreads."""
    if wanted.moments is not None:
        yield Candidate("klt", turning(np.stack([klt(m) for m in wanted.moments])))


def scaled(wanted: Wanted) -> Iterator[Candidate]:
    """Scales alone, and rotations behind scales, where every matrix with an inverse may act."""
    if wanted.seen is None:
        return
    for alpha in ALPHAS:
        down = 1 / smoothquant(wanted.seen, alpha)
        words = f"smoothquant alpha={alpha:g}"
        scales = scaling(down)
        yield Candidate(words, scales)
        smooth = replace(wanted, moments=_between(down, wanted.moments), draws=1)
        for policy in (whole, even):
            for turn in policy(smooth):
                change = behind(scales, turn.change)
                yield Candidate(f"{words}, {turn.words}", change, turn.order)


def best(wanted: Wanted) -> Iterator[Candidate]:
    """All that may help."""
    for policy in (whole, blocks, even, scaled):
        yield from policy(wanted)


POLICIES: Mapping[str, Callable[[Wanted], Iterator[Candidate]]] = {
    "best": best,
    "hadamard": whole,
    "block": blocks,
    "klt-hadamard": even,
    "klt": principal,
}
"""What `rotate` may try."""

BLIND = frozenset({"hadamard", "block"})
"""Policies that need no samples: they do not look at moments."""


def _between(down: Matrices, moments: Matrices | None) -> Matrices | None:
    """E[xᵀx] of scaled vectors."""
    return None if moments is None else down[:, :, None] * moments * down[:, None, :]
