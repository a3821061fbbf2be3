"""Which tile, and k in how many parts: the least time, measured if there is a measurement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from qcompile.errors import TargetError
from qcompile.targets.cuda.devices import Chip
from qcompile.targets.cuda.measured import MeasuredTable
from qcompile.targets.cuda.prediction import Prediction
from qcompile.targets.cuda.roofline import Machine, fits, machine, predict
from qcompile.targets.cuda.tiles import Tile, tiles
from qcompile.targets.cuda.work import Work

SPLITS = (1, 2, 3, 4, 6, 8, 12, 16)


@dataclass(frozen=True, slots=True)
class Choice:
    """`milliseconds` are the measured or the predicted ones, as `source` says."""

    tile: Tile
    splits: int
    milliseconds: float
    source: Literal["measured", "model"]
    prediction: Prediction


def choose(chip: Chip, work: Work, measured: MeasuredTable | None) -> Choice:
    """The fastest on this chip as we believe it to be."""
    return fastest(machine(chip), work, measured)


def fastest(on: Machine, work: Work, measured: MeasuredTable | None) -> Choice:
    """The least time; of equals the one with fewest parts and then the smallest tile.

    Measured times are compared with measured ones alone: a prediction too good to be true must
    not win over them.
    """
    choices = list(_choices(on, work, measured))
    if not choices:
        raise TargetError(f"no tile fits {on.chip.name} for {work.name}")
    known = [choice for choice in choices if choice.source == "measured"]
    return min(known or choices, key=lambda it: (it.milliseconds, it.splits, it.tile))


def _choices(on: Machine, work: Work, measured: MeasuredTable | None) -> Iterator[Choice]:
    for tile in tiles(on.chip):
        for splits in SPLITS:
            if splits <= work.steps and fits(on.chip, work, tile):
                yield _choice(on, work, measured, tile, splits)


def _choice(
    on: Machine, work: Work, measured: MeasuredTable | None, tile: Tile, splits: int
) -> Choice:
    prediction = predict(on, work, tile=tile, splits=splits)
    time = None if measured is None else measured.find(work, tile=tile, splits=splits)
    if time is None:
        return Choice(tile, splits, prediction.milliseconds, "model", prediction)
    return Choice(tile, splits, time, "measured", prediction)
