"""Schemes as words: read, printed, and refused with what to write instead."""

import pytest

from qcompile.errors import UsageError
from qcompile.ir.widths import W4A4, W4A8, W8A8, Widths, parse_widths


@pytest.mark.parametrize(("text", "widths"), [("W8A8", W8A8), ("W4A8", W4A8), ("w4a4", W4A4)])
def test_a_scheme_is_read(text: str, widths: Widths):
    assert parse_widths(text) == widths


@pytest.mark.parametrize("weight", range(2, 9))
@pytest.mark.parametrize("activation", [4, 8, 16])
@pytest.mark.parametrize("per_token", [False, True])
def test_what_is_printed_is_read_back(weight: int, activation: int, per_token: bool):
    widths = Widths(weight, activation, per_token=per_token and activation < 16)
    assert parse_widths(str(widths)) == widths


@pytest.mark.parametrize(
    ("text", "widths"),
    [
        ("W4A8-g128", Widths(4, 8, 128)),
        ("w3a4-G32-Token", Widths(3, 4, 32, per_token=True)),
        ("W8A8-token", Widths(8, 8, per_token=True)),
    ],
)
def test_groups_and_scales_at_run_time_are_read_and_printed(text: str, widths: Widths):
    assert parse_widths(text) == widths
    assert str(widths).lower() == text.lower()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("int4", "give W8A8, W4A8 or W4A4"),
        ("W4", "no such scheme"),
        ("W9A8", "weights have 2 to 8 bits, not 9"),
        ("W4A2", "activations have 4 or 8 bits, or 16 for reals, not 2"),
        ("W4A32", "4 or 8 bits, or 16 for reals, not 32"),
        ("W4A16-token", "reals are not scaled: leave -token out"),
        ("W4A8-g4", "groups have 8 weights or more, not 4"),
        ("W8A8-g128", "8-bit weights gain nothing: give W8A8 or fewer bits"),
        ("W4A8-token-g32", "no such scheme"),
    ],
)
def test_other_words_are_refused(text: str, words: str):
    with pytest.raises(UsageError, match=words):
        parse_widths(text)
