"""MambaQuant's steps each gain on the one before."""

import numpy as np
import pytest

from tests.bench.ablation import Outcome, logits, outcome, planted
from tests.bench.transforms import held_rows

ROWS = 24


def test_a_gain_is_the_mean_over_seeds_and_its_error_is_that_over_rows():
    before = Outcome(np.zeros((2, 3)), np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]))
    after = Outcome(np.zeros((2, 3)), np.array([[2.0, 4.0, 6.0], [2.0, 4.0, 6.0]]))
    assert after.gain(before) == pytest.approx((2, 1 / np.sqrt(3)))


@pytest.mark.slow
def test_transforms_that_know_the_data_and_then_scales_raise_the_quality():
    subject = planted(factor=100.0, rows=ROWS)
    wanted = [logits(subject.graph, row) for row in held_rows(ROWS)]
    hadamard, klt, fused = (
        outcome(subject, step, "W8A8-tensor", (1,), wanted) for step in ("hadamard", "klt", "fused")
    )
    gain, error = klt.gain(hadamard)
    assert gain > 3 * error
    gain, error = fused.gain(klt)
    assert gain > 3 * error
