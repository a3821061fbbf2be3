"""Where the elements of a value lie: an order of axes, a halo around them, padded lanes.

The innermost axis is padded to a multiple of 16 elements (an array of at most 4 to 1, 2 or 4), so
kernels compute whole registers and never need a tail. A halo holds the zero point: convolutions
read their padding from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

PAD = 16
SLACK = 64  # elements that may be read or written past the end


@dataclass(frozen=True)
class Layout:
    """`order`: logical axes from outermost to innermost; `halo`: (before, after) per logical axis.

    `width` is the stored extent of the innermost axis.
    """

    shape: tuple[int, ...]
    order: tuple[int, ...]
    halo: tuple[tuple[int, int], ...]
    width: int

    @property
    def inner(self) -> int:
        """The logical axis whose elements are neighbours; −1 for a scalar."""
        return self.order[-1] if self.order else -1

    @cached_property
    def strides(self) -> tuple[int, ...]:
        """Elements from one index to the next, per logical axis."""
        result = [0] * len(self.shape)
        step = 1
        for place, axis in reversed(list(enumerate(self.order))):
            result[axis] = step
            stored = self.shape[axis] + sum(self.halo[axis])
            step *= self.width if place == len(self.order) - 1 else stored
        return tuple(result)

    @property
    def offset(self) -> int:
        """Where the element of index 0 lies."""
        return sum(h[0] * s for h, s in zip(self.halo, self.strides, strict=True))

    @property
    def size(self) -> int:
        """Elements stored, halo and padding counted, slack not."""
        total = self.width if self.order else 1
        for axis in self.order[:-1]:
            total *= self.shape[axis] + sum(self.halo[axis])
        return total

    @property
    def has_halo(self) -> bool:
        """Something lies around the value."""
        return any(before or after for before, after in self.halo)

    def with_halo(self, halo: tuple[tuple[int, int], ...]) -> Layout:
        """The same order with another halo."""
        return Layout(self.shape, self.order, halo, self.width)


def packed(
    shape: tuple[int, ...],
    order: tuple[int, ...],
    padded: Callable[[int], int] | None = None,
) -> Layout:
    """A layout without halo whose innermost axis is padded, by `padded_width` if not said."""
    width = (padded or padded_width)(shape[order[-1]]) if order else 1
    return Layout(shape, order, ((0, 0),) * len(shape), width)


def row_major(shape: tuple[int, ...]) -> Layout:
    """Axes as they are written, the last one innermost."""
    return packed(shape, tuple(range(len(shape))))


def channels_last(rank: int) -> tuple[int, ...]:
    """The order of [n, c, *spatial] with c innermost."""
    return (0, *range(2, rank), 1)


def dense(shape: tuple[int, ...]) -> Layout:
    """Row-major without any padding: the layout of the outside world."""
    order = tuple(range(len(shape)))
    return Layout(shape, order, ((0, 0),) * len(shape), shape[-1] if shape else 1)


def padded_width(extent: int) -> int:
    """1, 2, 4, or the next multiple of 16."""
    if extent <= 4:
        return 4 if extent == 3 else max(extent, 1)
    return -(-extent // PAD) * PAD


def merge_halos(
    a: tuple[tuple[int, int], ...], b: tuple[tuple[int, int], ...]
) -> tuple[tuple[int, int], ...]:
    """The least halo that serves both."""
    return tuple((max(x[0], y[0]), max(x[1], y[1])) for x, y in zip(a, b, strict=True))


def same_bytes(a: Layout, shape: tuple[int, ...]) -> bool:
    """True when the value, stored as `a`, reads row-major as `shape` without moving anything.

    The elements in stored order must be the elements in logical order (axes of length 1 aside).
    """
    if a.has_halo:
        return False
    long = [axis for axis in a.order if a.shape[axis] > 1]
    if long != sorted(long):
        return False
    wide = [d for d in shape if d > 1]
    if [a.shape[axis] for axis in long] == wide and (not long or long[-1] == a.inner):
        return True
    return bool(long) and long[-1] == a.inner and a.width == a.shape[a.inner]
