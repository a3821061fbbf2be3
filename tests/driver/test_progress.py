"""Progress: what is told, and when."""

import io
import re
import time

import numpy as np
import pytest

from qcompile.ir.graph import Graph
from qcompile.ir.ops.binary import Add
from qcompile.ir.ops.source import Input
from qcompile.ir.types import F32, TensorType
from qcompile.progress import (
    WIDTH,
    Count,
    Counting,
    Told,
    Unannounced,
    bar,
    counted,
    progress,
    silent,
)
from qcompile.watched import watched


@pytest.fixture
def told() -> list[str]:
    return []


def teller(told: list[str], *, pause: float = 0) -> Told:
    return Told(told.append, lambda text, share: told.append(text), pause=pause)


def test_a_long_step_tells_its_length_and_state(told):
    list(counted("abc", teller(told), "drawing", total=3))
    assert [line.partition(",")[0] for line in told] == [
        "drawing: 3", "drawing: 1 of 3", "drawing: 2 of 3", "drawing: 3 of 3",
    ]  # fmt: skip


def test_an_estimate_comes_with_the_first_item_and_goes_with_the_last(told):
    list(counted("abc", teller(told), "drawing", total=3))
    assert ["left" in line for line in told] == [False, True, True, False]


def test_states_are_not_told_too_often(told):
    list(counted("abc", teller(told, pause=60), "drawing", total=3))
    assert told == ["drawing: 3"]


def test_an_unknown_length_is_left_out(told):
    list(counted("ab", teller(told), "drawing"))
    assert told == ["drawing", "drawing: 1", "drawing: 2"]


def test_silence_passes_items_through():
    assert list(counted("abc", silent, "drawing")) == ["a", "b", "c"]


def test_passes_count_what_takes_them_long(told):
    each = Counting(teller(told))
    assert list(each("ab", "rotating")) == ["a", "b"]
    assert told[0] == "rotating: 2"


def test_what_is_often_short_is_not_announced(told):
    assert list(Unannounced(teller(told, pause=60))("ab", "hashing")) == ["a", "b"]
    assert told == []


def test_what_takes_long_is_told_though_it_was_not_announced(told):
    assert list(Unannounced(teller(told))("ab", "hashing")) == ["a", "b"]
    assert [line.partition(",")[0] for line in told] == ["hashing: 1 of 2", "hashing: 2 of 2"]


def test_states_come_with_the_share_that_is_done():
    shares: list[float | None] = []
    count = Count(Told(print, lambda text, share: shares.append(share), pause=0), "drawing", 4)
    count.add(3)
    count.add()
    assert shares == [0.75, 1.0]


@pytest.mark.parametrize(
    ("share", "done"),
    [(-1, 0), (0, 0), (0.5, WIDTH // 2), (0.999, WIDTH - 1), (1, WIDTH), (2, WIDTH)],
)
def test_a_bar_is_filled_as_far_as_the_step_is_done(share, done):
    assert bar(share) == "━" * done + "─" * (WIDTH - done)


def test_a_graph_tells_of_every_node_and_gives_what_is_kept(told):
    x = Input(TensorType((1,), F32), name="x")
    double, triple = Add(x, x), Add(Add(x, x), x)
    graph = Graph("g", (x,), (("a", double), ("b", triple)))
    sample = [np.ones(1, np.float32)]
    values = dict(watched(graph, sample, [double, triple], Unannounced(teller(told))))
    assert {node: float(value[0]) for node, value in values.items()} == {double: 2, triple: 3}
    assert [line.partition(",")[0] for line in told] == [
        f"running the interpreter: {done} of 4" for done in (1, 2, 3, 4)
    ]


class Terminal(io.StringIO):
    """Standard error of someone who looks on."""

    def isatty(self) -> bool:
        return True


def told_on(place: io.StringIO, monkeypatch: pytest.MonkeyPatch, *, quiet: bool) -> str:
    """What two items of a long step leave there."""
    monkeypatch.setattr("sys.stderr", place)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("qcompile.progress.REFRESH", 0)
    monkeypatch.setattr("qcompile.progress.PATIENCE", 0)
    with progress(quiet=quiet) as say:
        for _ in Counting(say)("abcd", "drawing"):
            time.sleep(0.2)
    return place.getvalue()


def test_a_terminal_shows_a_bar_and_the_time_left(monkeypatch):
    shown = told_on(Terminal(), monkeypatch, quiet=False)
    assert re.search(f"{bar(0.5)} drawing: 2 of 4, about [0-9]+ s left", shown)


def test_a_pipe_gets_plain_lines(monkeypatch):
    shown = told_on(io.StringIO(), monkeypatch, quiet=False)
    assert shown.startswith("drawing: 4\ndrawing: 1 of 4, about ")
    assert "━" not in shown


@pytest.mark.parametrize("place", [Terminal(), io.StringIO()])
def test_quiet_is_silent(place, monkeypatch):
    assert told_on(place, monkeypatch, quiet=True) == ""
