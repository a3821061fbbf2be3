"""Progress of long steps: a bar on a terminal, plain lines in a pipe, nothing when quiet."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 2.0  # seconds between lines in a pipe
REFRESH = 0.1  # seconds between changes on a terminal


class Progress:
    """Hears of every step, and of every item of a long one. This one says nothing."""

    def __call__(self, step: str) -> None:
        """A new step begins."""

    def tick(self, state: str) -> None:
        """The step that is under way has come this far."""


silent = Progress()


class Told(Progress):
    """Steps go to `step`, states of a long step to `state` at most every `pause` seconds."""

    def __init__(
        self, step: Callable[[str], None], state: Callable[[str], None], *, pause: float
    ) -> None:
        self._step, self._state, self._pause = step, state, pause
        self._last = time.monotonic()

    def __call__(self, step: str) -> None:
        """Always told."""
        self._last = time.monotonic()
        self._step(step)

    def tick(self, state: str) -> None:
        """Told when the last word was long enough ago."""
        if time.monotonic() - self._last >= self._pause:
            self._last = time.monotonic()
            self._state(state)


@contextmanager
def progress(*, quiet: bool) -> Generator[Progress]:
    """What fits standard error: a status line on a terminal, lines in a pipe, or silence."""
    if quiet:
        yield silent
        return
    if not sys.stderr.isatty():
        yield Told(_line, _line, pause=PATIENCE)
        return
    from rich.console import Console

    console = Console(stderr=True, markup=False, highlight=False)
    with console.status("") as status:

        def step(text: str) -> None:
            console.print(f"  {text}", style="dim")
            status.update(text)

        yield Told(step, status.update, pause=REFRESH)


def counted(
    items: Iterable[T], say: Progress, what: str, *, total: int | None = None
) -> Iterator[T]:
    """The items, with a word about how far they are and how long the rest may take."""
    start = time.monotonic()
    say(what if total is None else f"{what}: {total}")
    for done, item in enumerate(items, 1):
        yield item
        say.tick(f"{what}: {_share(done, total)}{_rest(done, total, time.monotonic() - start)}")


@dataclass(frozen=True)
class Counting:
    """What `passes.each.Each` wants, told to `say`."""

    say: Progress

    def __call__(self, items: Sequence[T], what: str) -> Iterator[T]:
        """The items, counted."""
        return counted(items, self.say, what, total=len(items))


def _share(done: int, total: int | None) -> str:
    return f"{done}" if total is None else f"{done} of {total}"


def _rest(done: int, total: int | None, seconds: float) -> str:
    if total is None or done < 2 or done >= total:
        return ""
    left = seconds / done * (total - done)
    return f", about {left:.0f} s left" if left < 100 else f", about {left / 60:.0f} min left"


def _line(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
