"""`--budget`: limits with units, and what is refused."""

import pytest

from qcompile.budget import parse_budget, parse_drop, show_limit
from qcompile.errors import UsageError


def test_every_limit_comes_in_its_own_unit():
    assert parse_budget("size=8MB,latency=5ms,bops=70G,ram=256KB") == {
        "size": 8e6,
        "latency": 5.0,
        "bops": 70e9,
        "ram": 256e3,
    }


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("size=512B", 512.0),
        ("size=1KiB", 1024.0),
        (" size = 1.5 MiB ", 1.5 * 2**20),
        ("size=8.1MB", 8100000.0),
        ("size=1e-3GB", 1e6),
        ("latency=250us", 0.25),
        ("latency=0.1s", 100.0),
        ("bops=.5T", 5e11),
    ],
)
def test_units_and_fractions_are_exact(text: str, limit: float):
    assert list(parse_budget(text).values()) == [limit]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("size=8", "size=8 has no unit: give one of B, KB, MB, GB, KiB, MiB, GiB"),
        ("latency=5", "give one of ns, us, ms, s"),
        ("size=8mb", "no unit mb"),
        ("size=5ms", "no unit ms"),
        ("bops=70B", "no unit B"),
        ("speed=5ms", "no limit speed: give size, latency, bops, ram"),
        ("sise=5MB", "did you mean size"),
        ("size", "size is no limit"),
        ("", "nothing is no limit"),
        ("size=8MB,", "nothing is no limit"),
        ("size=-8MB", "more than 0"),
        ("size=0MB", "more than 0"),
        ("size=1e99MB", "less than 10\\^30"),
        ("size=1e999MB", "no unit e999MB"),
        ("size=bigMB", "give a number and a unit"),
        ("size=", "give a number and a unit"),
        ("size=8MB,size=9MB", "size is given twice"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_to_give(text: str, said: str):
    with pytest.raises(UsageError, match=said):
        parse_budget(text)


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("size", 8e6, "size=8MB"),
        ("size", 1234567.0, "size=1.23457MB"),
        ("size", 1234561.0, "size=1.23457MB"),
        ("size", 100.0, "size=100B"),
        ("ram", 256e3, "ram=256KB"),
        ("latency", 0.25, "latency=250us"),
        ("bops", 70e9, "bops=70G"),
        ("bops", 1e5, "bops=0.1M"),
    ],
)
def test_a_limit_is_shown_as_it_is_given_and_never_too_small(name: str, value: float, shown: str):
    assert show_limit(name, value) == shown
    assert parse_budget(shown)[name] >= value


@pytest.mark.parametrize(("text", "drop"), [("1%", 0.01), ("0%", 0.0), (" 0.5 % ", 0.005)])
def test_a_drop_is_a_percentage(text: str, drop: float):
    assert parse_drop(text) == drop


@pytest.mark.parametrize("text", ["1", "0.01", "-1%", "101%", "one%", "%", "1dB%", ""])
def test_any_other_drop_is_refused(text: str):
    with pytest.raises(UsageError, match=f"--max-drop {text}: give"):
        parse_drop(text)
