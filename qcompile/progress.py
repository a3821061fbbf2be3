"""Progress of long steps: a bar on a terminal, plain lines in a pipe, nothing when quiet.

A step tells how far it is, as a share of all that there is to do, and the time that the rest will
take if it goes on as fast. Short steps are not told at all.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 2.0  # seconds between lines in a pipe
REFRESH = 0.1  # seconds between changes on a terminal
WIDTH = 24  # of the bar


class Progress:
    """Hears of every step, and of every item of a long one. This one says nothing."""

    def __call__(self, step: str) -> None:
        """A new step begins."""

    def tick(self, state: str, share: float | None = None) -> None:
        """The step that is under way has come this far; `share` of it is done, if that is known."""


silent = Progress()


State = Callable[[str, float | None], None]


class Told(Progress):
    """Steps go to `step`, states of a long step to `state` at most every `pause` seconds."""

    def __init__(self, step: Callable[[str], None], state: State, *, pause: float) -> None:
        self._step, self._state, self._pause = step, state, pause
        self._last = time.monotonic()

    def __call__(self, step: str) -> None:
        """Always told."""
        self._last = time.monotonic()
        self._step(step)

    def tick(self, state: str, share: float | None = None) -> None:
        """Told when the last word was long enough ago."""
        if time.monotonic() - self._last >= self._pause:
            self._last = time.monotonic()
            self._state(state, share)


@contextmanager
def progress(*, quiet: bool) -> Generator[Progress]:
    """What fits standard error: a bar on a terminal, lines in a pipe, or silence."""
    if quiet:
        yield silent
        return
    if not sys.stderr.isatty():
        yield Told(_line, lambda text, share: _line(text), pause=PATIENCE)
        return
    from rich.console import Console

    console = Console(stderr=True, markup=False, highlight=False)
    with console.status("") as status:

        def step(text: str) -> None:
            console.print(f"  {text}", style="dim")
            status.update(text)

        def state(text: str, share: float | None) -> None:
            status.update(text if share is None else f"{bar(share)} {text}")

        yield Told(step, state, pause=REFRESH)


def bar(share: float) -> str:
    """`━━━━━━────`: what is done of the whole."""
    done = min(max(int(share * WIDTH), 0), WIDTH)
    return "━" * done + "─" * (WIDTH - done)


class Count:
    """So much of `total` is done; `add` tells it to `say`, with the time that the rest may take.

    Several threads may add. The step itself is announced by whoever begins it.
    """

    def __init__(self, say: Progress, what: str, total: float) -> None:
        self._say, self._what, self._total = say, what, total
        self._done, self._start = 0.0, time.monotonic()
        self._alone = Lock()

    def add(self, amount: float = 1) -> None:
        """So much more is done."""
        with self._alone:
            self._done += amount
            done, total = self._done, self._total
        rest = _rest(done, total, time.monotonic() - self._start)
        share = done / total if total else 1.0
        self._say.tick(f"{self._what}: {done:.0f} of {total:.0f}{rest}", share)


def counted(
    items: Iterable[T], say: Progress, what: str, *, total: int | None = None
) -> Iterator[T]:
    """The items, with a word about how far they are and how long the rest may take."""
    say(what if total is None else f"{what}: {total}")
    if total is None:
        for done, item in enumerate(items, 1):
            yield item
            say.tick(f"{what}: {done}")
        return
    count = Count(say, what, total)
    for item in items:
        yield item
        count.add()


@dataclass(frozen=True)
class Counting:
    """What `passes.each.Each` wants, told to `say`."""

    say: Progress

    def __call__(self, items: Sequence[T], what: str) -> Iterator[T]:
        """The items, counted."""
        return counted(items, self.say, what, total=len(items))


@dataclass(frozen=True)
class Unannounced:
    """The same for what is often short: nothing is told before it has taken a while."""

    say: Progress

    def __call__(self, items: Sequence[T], what: str) -> Iterator[T]:
        """The items, counted."""
        count = Count(self.say, what, len(items))
        for item in items:
            yield item
            count.add()


def _rest(done: float, total: float, seconds: float) -> str:
    if not 0 < done < total:
        return ""
    left = seconds / done * (total - done)
    return f", about {left:.0f} s left" if left < 100 else f", about {left / 60:.0f} min left"


def _line(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
