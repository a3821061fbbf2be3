"""Progress: what is told, and when."""

import pytest

from qcompile.progress import Counting, Told, counted, silent


@pytest.fixture
def told() -> list[str]:
    return []


def test_a_long_step_tells_its_length_and_state(told):
    list(counted("abc", Told(told.append, told.append, pause=0), "drawing", total=3))
    assert [line.partition(",")[0] for line in told] == [
        "drawing: 3", "drawing: 1 of 3", "drawing: 2 of 3", "drawing: 3 of 3",
    ]  # fmt: skip


def test_an_estimate_comes_with_the_second_item(told):
    list(counted("abc", Told(told.append, told.append, pause=0), "drawing", total=3))
    assert "s left" in told[2]


def test_states_are_not_told_too_often(told):
    list(counted("abc", Told(told.append, told.append, pause=60), "drawing", total=3))
    assert told == ["drawing: 3"]


def test_an_unknown_length_is_left_out(told):
    list(counted("ab", Told(told.append, told.append, pause=0), "drawing"))
    assert told == ["drawing", "drawing: 1", "drawing: 2"]


def test_silence_passes_items_through():
    assert list(counted("abc", silent, "drawing")) == ["a", "b", "c"]


def test_passes_count_what_takes_them_long(told):
    each = Counting(Told(told.append, told.append, pause=0))
    assert list(each("ab", "rotating")) == ["a", "b"]
    assert told[0] == "rotating: 2"
