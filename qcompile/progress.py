"""Progress of long steps: a bar on a terminal, plain lines in a pipe, nothing when quiet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias, TypeVar

T = TypeVar("T")

Progress: TypeAlias = Callable[[str], None]


def silent(step: str) -> None:
    """Says nothing."""


def counted(items: Iterable[T], say: Progress, what: str, *, every: int = 16) -> Iterator[T]:
    """The items, with a word about every so many of them."""
    for index, item in enumerate(items, 1):
        yield item
        if index % every == 0:
            say(f"{what}: {index}")
