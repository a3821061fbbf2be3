"""The arrays that a nest's kernel is given, and what it writes to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qcompile.targets.loops import expr as e
from qcompile.targets.loops.nest import Nest, View


@dataclass(frozen=True, slots=True)
class Array:
    """What is known of an array: it begins at a multiple of `alignment` bytes; one that lies
    `outside` is the caller's, beyond whose last element nothing may be touched."""

    alignment: int = 16
    outside: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """One array that is written, the pointer to it, and what is written.

    `more` is added to the address. Filled in later: the address `to`, `size` of one access (0: one
    element at a time), `held`: packing may hold values to the format's range.
    """

    out: View
    x: e.Expr
    pointer: str
    array: Array
    more: str = ""
    to: str = ""
    size: int = 0
    held: bool = False

    def name(self, of: str) -> str:
        """A name that belongs to this result."""
        return of + self.pointer.removeprefix("out")


def results(nest: Nest, arrays: Sequence[Array], *, more: str = "") -> tuple[Result, ...]:
    """The arrays `out`, `out1` … that a nest writes; `more` is added to the addresses."""
    written = ((nest.out, nest.finish), *((a.out, a.result) for a in nest.also))
    return tuple(
        Result(out, x, f"out{i or ''}", arrays[len(nest.views) + i], more)
        for i, (out, x) in enumerate(written)
    )


def known(nest: Nest, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """One entry per array, views first: what is given, or what holds for every buffer."""
    count = len(nest.views) + 1 + len(nest.also)
    assert len(arrays) in (0, count)
    return tuple(arrays) or (Array(),) * count
