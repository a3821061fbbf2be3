"""Values come back from their file bit for bit, and what is one value stays one."""

from __future__ import annotations

import numpy as np

from qcompile.passes.correct_bias import Pair
from qcompile.passes.rounding.shelf import in_memory, on_shelf


def pairs() -> list[Pair]:
    rng = np.random.default_rng(0)
    reals = [rng.standard_normal((2, 3, k)).astype(np.float32) for k in (1, 5, 7)]
    return [
        Pair(reals[0], reals[0]),
        Pair(reals[1], reals[1].swapaxes(0, 2)),
        Pair(reals[2].astype(np.int8), np.zeros((0, 4), np.float32)),
        Pair(np.array(True), np.array(3, np.int64)),
    ]


def test_values_come_back():
    for before, after in zip(pairs(), on_shelf(pairs()), strict=True):
        np.testing.assert_array_equal(before.real, after.real, strict=True)
        np.testing.assert_array_equal(before.quantized, after.quantized, strict=True)


def test_what_is_one_value_stays_one():
    found = on_shelf(pairs())
    assert found[0].real is found[0].quantized
    assert found[1].real is not found[1].quantized


def test_what_lies_in_a_file_is_not_written_again():
    first = on_shelf(pairs())
    again = on_shelf(Pair(p.real, p.quantized) for p in first)
    assert again[1].real is first[1].real
    assert again[1].quantized is first[1].quantized


def test_nothing_is_nothing():
    assert on_shelf([]) == []
    assert in_memory(iter(())) == []
