"""A small network with all that matters: a residual branch, a depthwise layer, a matrix product."""

import numpy as np
import pytest

from qcompile.calibrate.collect import collect
from qcompile.passes.calibrate import observed
from qcompile.passes.recipe import Recipe
from qcompile.sensitivity.study import study
from qcompile.stages import specify
from tests.helpers import read

NET = """
    def net(x: f32[1, 3, 8, 8]):
        w_1: f32[6, 3, 3, 3] = const(...)
        b_1: f32[6] = const(...)
        first = conv(x, w_1, b_1, pads=(1, 1, 1, 1))
        first_2 = relu(first)
        w_2: f32[6, 1, 3, 3] = const(...)
        each = conv(first_2, w_2, pads=(1, 1, 1, 1), groups=6)
        each_2 = clip(each, lo=0.0, hi=6.0)
        w_3: f32[6, 6, 1, 1] = const(...)
        skip = conv(first_2, w_3)
        sum = add(each_2, skip)
        mean = reduce_mean(sum, axes=(2, 3), keepdims=False)
        w_4: f32[6, 5] = const(...)
        last = mat_mul(mean, w_4)
        y = softmax(last, axis=1)
        return y
    """
SITES = ("first", "each", "skip", "last")


def pictures(count):
    rng = np.random.default_rng(7)
    return [(rng.standard_normal((1, 3, 8, 8)).astype(np.float32),) for _ in range(count)]


def studied(graph, samples, threads=1):
    specified = specify(graph, Recipe())
    seen = collect(specified, observed(specified), samples)
    return study(specified, seen, Recipe(), samples, threads=threads)


@pytest.fixture(scope="session")
def net():
    return read(NET)


@pytest.fixture(scope="session")
def small(net):
    return studied(net, pictures(20))
