"""Runs cases in worker processes with a time limit for each.

`python -m tests.fuzz.harness FIRST LAST` prints every bug found and the totals.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Final

ROOT: Final = Path(__file__).parents[2]
LIMIT: Final = 60.0  # seconds for one case, most of them take a fraction of one


@dataclass(frozen=True)
class Outcome:
    """How a case ended: compiled, refused, bug, crash or hang.

    `unbuilt` was read but refused later. A crash of the peer itself is no bug.
    """

    seed: int
    kind: str
    what: str = ""

    @property
    def is_bug(self) -> bool:
        """Anything but a compiled model or a refusal with a message."""
        return self.kind not in ("compiled", "refused", "unbuilt", "peer crash")


class Worker:
    """A process that answers seeds; replaced when it dies or takes too long."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._process = _started()
        self._lines: Queue[str] = Queue()
        Thread(target=_forward, args=(self._process, self._lines), daemon=True).start()

    def answer(self, seed: int) -> Outcome:
        """The outcome of one case."""
        stage = "start"
        assert self._process.stdin is not None
        self._process.stdin.write(f"{seed}\n")
        self._process.stdin.flush()
        while True:
            line = self._line()
            if line is None:
                self.close()
                self._start()
                return Outcome(seed, "hang", f"in {stage}, more than {LIMIT:.0f} s")
            if not line:
                code = self._process.wait()
                self._start()
                kind = "peer crash" if stage == "peer" else "crash"
                return Outcome(seed, kind, f"in {stage}, exit code {code}")
            word, _, rest = line.strip().partition(" ")
            if word != "stage":
                return Outcome(seed, word, rest)
            stage = rest

    def _line(self) -> str | None:
        """The next line, "" at the end, None when it does not come in time."""
        try:
            return self._lines.get(timeout=LIMIT)
        except Empty:
            return None

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()


def _started() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.fuzz.worker"],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True, bufsize=1,
    )  # fmt: skip


def _forward(process: subprocess.Popen[str], lines: Queue[str]) -> None:
    """Every line as it comes, then "" at the end."""
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line)
    lines.put("")


def run_cases(seeds: Iterable[int]) -> Iterator[Outcome]:
    """The outcome of each."""
    worker = Worker()
    try:
        for seed in seeds:
            yield worker.answer(seed)
    finally:
        worker.close()


def main(first: str, last: str) -> None:
    """Prints bugs and late refusals as they come, then how many cases ended in which way."""
    kinds: Counter[str] = Counter()
    for outcome in run_cases(range(int(first), int(last))):
        kinds[outcome.kind] += 1
        if outcome.is_bug or outcome.kind == "unbuilt":
            print(f"seed {outcome.seed}: {outcome.kind}: {outcome.what}", flush=True)
    print(", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())))


if __name__ == "__main__":
    main(*sys.argv[1:])
