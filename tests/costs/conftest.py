"""A residual network of convolutions as a subject of costs, on targets that plan their programs."""

from dataclasses import replace

import numpy as np
import pytest

from qcompile.calibrate.collect import collect
from qcompile.costs.subject import Subject
from qcompile.passes.calibrate import observed
from qcompile.passes.choose_widths import WidthRule, choose_widths
from qcompile.sensitivity.sites import find_sites
from qcompile.stages import simplify, specify
from qcompile.targets import target
from tests.helpers import read

NET = """
    def net(x: f32[1, 3, 16, 16]):
        w_1: f32[16, 3, 3, 3] = const(...)
        stem = conv(x, w_1, pads=(1, 1, 1, 1))
        stem_2 = relu(stem)
        w_2: f32[32, 16, 3, 3] = const(...)
        wide = conv(stem_2, w_2, pads=(1, 1, 1, 1))
        wide_2 = relu(wide)
        small = max_pool(wide_2, kernel=(2, 2), stride=(2, 2), pads=(0, 0, 0, 0), dilation=(1, 1))
        w_7: f32[32, 32, 1, 1] = const(...)
        mid = conv(small, w_7)
        mid_2 = relu(mid)
        w_3: f32[32, 32, 3, 3] = const(...)
        inner = conv(mid_2, w_3, pads=(1, 1, 1, 1))
        inner_2 = relu(inner)
        w_4: f32[32, 32, 1, 1] = const(...)
        back = conv(inner_2, w_4)
        sum = add(back, mid_2)
        sum_2 = relu(sum)
        w_5: f32[16, 32, 1, 1] = const(...)
        late = conv(sum_2, w_5)
        late_2 = relu(late)
        mean = reduce_mean(late_2, axes=(2, 3), keepdims=False)
        w_6: f32[16, 10] = const(...)
        y = mat_mul(mean, w_6)
        return y
    """


def subject(name: str) -> Subject:
    """All contractions with the target's options, the first and the last with 8 bits alone."""
    place = target(name)
    real = simplify(read(NET))
    eight = replace(place.recipe, widths=WidthRule())
    specified = specify(real, eight)
    rng = np.random.default_rng(3)
    samples = [(rng.standard_normal((1, 3, 16, 16)).astype(np.float32),) for _ in range(4)]
    seen = collect(specified, observed(specified), samples)
    allowed = {
        node.name: (choice.widths,) if choice.why else place.recipe.options
        for node, choice in choose_widths(real, place.recipe.widths).items()
    }
    sites = find_sites(specified, seen, eight)
    return Subject(place, real, specified, seen, place.recipe, sites, allowed, 50_000)


@pytest.fixture(scope="session")
def gpu() -> Subject:
    return subject("t4-int4")


@pytest.fixture(scope="session")
def cpu() -> Subject:
    return subject("x86-int8")
