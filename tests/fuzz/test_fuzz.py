"""Broken models end in a message or in a right result, never in a crash, a hang or a wrong one."""

import pytest

from tests.fuzz.harness import Outcome, run_cases

CASES, CHUNK = 2400, 200


def bugs(seeds: range) -> list[Outcome]:
    return [outcome for outcome in run_cases(seeds) if outcome.is_bug]


def test_a_hundred_broken_models():
    assert bugs(range(100)) == []


@pytest.mark.slow
@pytest.mark.parametrize("first", range(100, 100 + CASES, CHUNK))
def test_thousands_of_broken_models(first):
    assert bugs(range(first, first + CHUNK)) == []
