"""Masks in front of a softmax take nothing away from what is not masked."""

import numpy as np
import pytest

from qcompile.calibrate.collect import collect
from qcompile.ir.graph import Graph
from qcompile.passes.calibrate import Calibrate, observed
from qcompile.passes.quantize import Quantize
from qcompile.passes.specify import Specify
from tests.helpers import read

MASKED = """
    def f(x: f32[1, 8, 8], m: f32[1, 1, 8]):
        w: f32[8, 8] = const(...)
        s: f32[1, 8, 8] = mat_mul(x, w)
        masked: f32[1, 8, 8] = add(s, m)
        p: f32[1, 8, 8] = softmax(masked, axis=2)
        y: f32[1, 8, 8] = mat_mul(p, w)
        return y
    """


def sample(mask: float, *, seed: int = 0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    row = np.where(np.arange(8) < 5, 0.0, mask).astype(np.float32)
    return rng.normal(size=(1, 8, 8)).astype(np.float32), row.reshape(1, 1, 8)


def integer(mask: float) -> Graph:
    specified = Specify().run(read(MASKED))
    samples = [sample(mask, seed=seed) for seed in range(4)]
    statistics = collect(specified, observed(specified), samples)
    return Quantize().run(Calibrate(statistics).run(specified))


@pytest.mark.parametrize("mask", [0.0, -1e4, -1e9, -3.4e38])
def test_a_mask_costs_no_precision_however_great_it_is(mask: float):
    inputs = sample(mask, seed=9)
    (wanted,), (found,) = read(MASKED).run(*inputs), integer(mask).run(*inputs)
    error = np.square(found - wanted).sum() / np.square(wanted).sum()
    assert error < 1e-3
