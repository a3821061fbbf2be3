"""Static memory planning: lifetimes, then offsets in one arena.

Greedy by size (Pisarchyk and Lee, arXiv 2001.03288): the largest buffer first, each at the lowest
offset that is free during its whole life. The result depends on nothing but the calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from qcompile.program.program import ALIGNMENT, Buffer, Call, Lifetime, Program

K = TypeVar("K")


def plan(calls: Sequence[Call[K]], *, kept: Iterable[Buffer] = ()) -> Program[K]:
    """The calls with an offset for each buffer; those in `kept` live to the end."""
    alive = lifetimes(calls, kept=kept)
    offsets = place(alive)
    size = max((offsets[b] + aligned(b.size) for b in offsets), default=0)
    return Program(tuple(calls), offsets, size)


def lifetimes(calls: Sequence[Call[K]], *, kept: Iterable[Buffer] = ()) -> dict[Buffer, Lifetime]:
    """From the first call that touches a buffer to the last, in order of first touch."""
    found: dict[Buffer, Lifetime] = {}
    for index, call in enumerate(calls):
        for buffer in (*call.reads, *call.writes):
            first = found[buffer].first if buffer in found else index
            found[buffer] = Lifetime(first, index)
    for buffer in kept:
        if buffer in found:
            found[buffer] = Lifetime(found[buffer].first, len(calls))
    return found


def place(alive: Mapping[Buffer, Lifetime]) -> dict[Buffer, int]:
    """Offsets such that buffers that live at the same time do not overlap."""
    offsets: dict[Buffer, int] = {}
    rank = {buffer: i for i, buffer in enumerate(alive)}
    for buffer in sorted(alive, key=lambda b: (-b.size, rank[b])):
        taken = sorted(
            (offsets[other], offsets[other] + aligned(other.size))
            for other in offsets
            if alive[other].meets(alive[buffer])
        )
        offsets[buffer] = _lowest_gap(taken, aligned(buffer.size))
    return offsets


def aligned(size: int) -> int:
    """Rounded up to the alignment."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def _lowest_gap(taken: Sequence[tuple[int, int]], size: int) -> int:
    start = 0
    for begin, end in taken:
        if begin - start >= size:
            break
        start = max(start, end)
    return start
