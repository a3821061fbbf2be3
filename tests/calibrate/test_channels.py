"""Statistics of channels: added up they are those of all vectors at once."""

import numpy as np
import pytest

from qcompile.calibrate.channels import channels
from qcompile.errors import CalibrationError


def vectors(*, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(15, 4)).astype(np.float32)


def test_parts_added_up_are_the_whole():
    x = vectors()
    added = channels(x[:5], where="x") + channels(x[5:], where="x")
    whole = channels(x, where="x")
    np.testing.assert_array_equal(added.largest, np.abs(x).max(0))
    np.testing.assert_allclose(added.magnitude, np.abs(x.astype(np.float64)).mean(0))
    np.testing.assert_allclose(added.energy, whole.energy)
    assert added.count == whole.count


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_no_number_names_its_edge(bad: float):
    with pytest.raises(CalibrationError, match="y: the float model gives NaN"):
        channels(np.array([[bad]]), where="y")


def test_no_vectors_are_refused():
    with pytest.raises(CalibrationError, match="y: the value is empty"):
        channels(np.zeros((0, 3)), where="y")
