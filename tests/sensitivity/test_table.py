"""The table reads back as it was written, and holds nothing that is no damage."""

import pytest

from qcompile.errors import UsageError
from qcompile.ir.widths import Widths
from qcompile.sensitivity.table import Sensitivities, from_json

TABLE = Sensitivities(
    "output-error",
    {"graph": "a1", "count": 3},
    {("b", Widths(4, 8)): 0.1, ("b", Widths(8, 8)): 1e-7, ("a", Widths(4, 4)): 0.0},
)


def test_it_reads_back():
    assert from_json(TABLE.to_json()) == TABLE
    assert from_json(TABLE.to_json()).digest == TABLE.digest


def test_contractions_keep_their_order():
    assert TABLE.names == ("b", "a")


def test_options_of_one():
    assert TABLE.options("b") == {Widths(4, 8): 0.1, Widths(8, 8): 1e-7}


@pytest.mark.parametrize("damage", [float("nan"), float("inf"), -0.1])
def test_what_is_no_damage_is_refused(damage):
    with pytest.raises(UsageError, match="a in W4A8: a damage of"):
        Sensitivities("by hand", {}, {("a", Widths(4, 8)): damage})


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"estimator": "e", "facts": {}, "damages": {"a": {"W99A8": 1}}}']
)
def test_other_text_is_refused(text):
    with pytest.raises(UsageError):
        from_json(text)
