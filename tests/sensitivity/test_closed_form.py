"""The closed forms are what noise of that size does on average, measured."""

import numpy as np
import pytest

from qcompile.ir.widths import Widths
from qcompile.sensitivity.closed_form import GAUSSIAN, RateDistortion, WeightError
from tests.helpers import read
from tests.sensitivity.conftest import studied

WIDE = """
    def f(x: f32[1, 400]):
        w: f32[400, 50] = const(...)
        y = mat_mul(x, w)
        return y
    """


@pytest.fixture(scope="module")
def wide():
    rng = np.random.default_rng(5)
    return studied(read(WIDE), [(rng.standard_normal((1, 400)).astype(np.float32),)])


def damages(estimator, study):
    options = [Widths(bits, 8) for bits in (2, 3, 4)]
    return [d for _, _, d in estimator.measure(study, study.everywhere(options))]


def test_the_weights_error_is_weighed_with_the_inputs_power(wide):
    site, (x,) = wide.sites[0], wide.samples[0]
    power = np.square(x.astype(np.float64) @ site.weight.array).sum()
    scale = site.formats[8][1].scale[0]
    by_input = np.square(site.weight.array.astype(np.float64)).sum() * scale**2 / 12
    error = np.square(site.weights(3).astype(np.float64) - site.weight.array)
    expected = ((np.square(x.astype(np.float64)) @ error).sum() + by_input) / power
    assert damages(WeightError(), wide)[1] == pytest.approx(expected, rel=1e-6)


def test_normal_weights_lose_at_least_what_the_closed_form_says(wide):
    pairs = zip(damages(RateDistortion(), wide), damages(WeightError(), wide), strict=True)
    assert all(0.4 * real < closed < 1.02 * real for closed, real in pairs)


@pytest.mark.parametrize(("bits", "step"), [(2, 1.0484), (3, 0.6018), (4, 0.3386), (6, 0.1042)])
def test_the_distortion_of_normal_numbers(bits, step):
    values = np.random.default_rng(0).standard_normal(1_000_000)
    grid = np.clip(np.rint(values / step), -(1 << (bits - 1)), (1 << (bits - 1)) - 1) * step
    assert np.square(grid - values).mean() == pytest.approx(GAUSSIAN[bits], rel=0.02)
