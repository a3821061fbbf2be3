"""How elements are put in another order, as one table for each axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int32]


def as_it_is(w: NDArray[Any]) -> NDArray[Any]:
    """No other order."""
    return w


def row_major(shape: tuple[int, ...]) -> tuple[Places, ...]:
    """The tables of no other order."""
    lengths = [prod(shape[axis + 1 :]) for axis in range(len(shape))]
    return tuple(
        (np.arange(d) * length).astype(np.int32) for d, length in zip(shape, lengths, strict=True)
    )


def places_of(
    shape: tuple[int, ...], arrange: Callable[[NDArray[Any]], NDArray[Any]]
) -> tuple[Places, ...] | None:
    """Where `arrange` puts every element of an array of this shape, a table for each axis.

    The last axes count as one where their places depend on each other. A place of −1 stands for an
    index whose elements are left out. None where the place is no sum of what each index alone
    gives, or an element goes to several places, or beyond 2^31. `arrange` only moves, leaves out
    and adds zeros.
    """
    count = prod(shape)
    if count >= np.iinfo(np.int32).max:
        return None
    if arrange is as_it_is:
        return row_major(shape)
    tags = arrange(np.arange(1, count + 1, dtype=np.int32).reshape(shape)).reshape(-1)
    there = np.flatnonzero(tags)
    if there.size == 0 or np.bincount(tags[there], minlength=1).max() > 1:
        return None
    whole = np.full(count, -1, np.int64)
    whole[tags[there] - 1] = there
    for last in range(len(shape), int(len(shape) > 1), -1):
        tables = _tables(whole.reshape(*shape[: last - 1], -1))
        if np.array_equal(summed(tables).reshape(-1), whole):
            return tables
    return None


def _tables(whole: NDArray[np.int64]) -> tuple[Places, ...]:
    """What each index adds to the place, as lines through the first element that has one show."""
    start = np.unravel_index(int(np.argmax(whole.reshape(-1) >= 0)), whole.shape)
    lines = [
        np.moveaxis(whole, axis, 0)[(slice(None), *np.delete(start, axis))]
        for axis in range(whole.ndim)
    ]
    least = [int(line[line >= 0].min()) for line in lines]
    base = int(whole[start]) + sum(low - int(whole[start]) for low in least)
    added = [line - low + (0 if axis else base) for axis, (line, low) in
             enumerate(zip(lines, least, strict=True))]  # fmt: skip
    return tuple(
        np.where(line < 0, -1, table).astype(np.int32)
        for line, table in zip(lines, added, strict=True)
    )


def summed(tables: Sequence[Places]) -> NDArray[np.int64]:
    """The place of every element; −1 where one of the tables leaves it out."""
    total, absent = np.zeros((), np.int64), np.zeros((), bool)
    for table in tables:
        total = total[..., None] + table
        absent = absent[..., None] | (table < 0)
    return np.where(absent, -1, total)
