"""A program: calls in order over buffers of fixed size. Values are gone, memory remains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K")

ALIGNMENT = 64


@dataclass(frozen=True, slots=True)
class Buffer:
    """A piece of memory that holds one value (or several that share it) while it is needed."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Call(Generic[K]):
    """One step: `kernel` reads and writes these buffers."""

    kernel: K
    reads: tuple[Buffer, ...]
    writes: tuple[Buffer, ...]


@dataclass(frozen=True, slots=True)
class Lifetime:
    """The first and the last call that touch a buffer."""

    first: int
    last: int

    def meets(self, other: Lifetime) -> bool:
        """Both are alive at some call."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Program(Generic[K]):
    """Calls in order, the place of every buffer in one arena, and the arena's size."""

    calls: tuple[Call[K], ...]
    offsets: dict[Buffer, int]
    size: int
