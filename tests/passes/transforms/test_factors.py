"""What rounding one factor of a product costs the contraction that reads the product."""

import numpy as np
import pytest

from qcompile.analysis.axes import scaling_sites
from qcompile.calibrate.channels import channels
from qcompile.ir.graph import Graph
from qcompile.ir.ops.source import Const
from qcompile.ir.widths import W8A8, Widths
from qcompile.passes.choose_widths import WidthRule
from qcompile.passes.demand import demand, observed_widths
from qcompile.passes.recipe import Recipe
from qcompile.passes.smooth import Smooth
from qcompile.passes.transforms.changes import scaling
from qcompile.passes.transforms.factors import Factor, factors, shares
from qcompile.passes.transforms.probes import collect_probes
from qcompile.passes.transforms.readers import readers
from tests.helpers import read

GATED = read("""
    def gated(x: f32[1, 64, 16], gate: f32[1, 64, 16]) -> f32[1, 64, 8]:
        u: f32[16, 16] = const(...)
        w: f32[16, 8] = const(...)
        up: f32[1, 64, 16] = mat_mul(x, u)
        product: f32[1, 64, 16] = mul(up, gate)
        y: f32[1, 64, 8] = mat_mul(product, w)
        return y
    """)
U = next(n.array for n in GATED.nodes if isinstance(n, Const) and n.name == "u")
FAR = np.array([300.0, *[1.0] * 15])
rng = np.random.default_rng(0)
UPS, GATES = FAR * rng.uniform(-1, 1, (4, 1, 64, 16)), rng.uniform(-1, 1, (4, 1, 64, 16)) / FAR
SAMPLES = [
    ((up @ np.linalg.inv(U)).astype(np.float32), gate.astype(np.float32))
    for up, gate in zip(UPS, GATES, strict=True)
]
EVERYWHERE = WidthRule(default=W8A8, ends=W8A8, depthwise=W8A8)
RECIPE = Recipe(widths=EVERYWHERE)


def found(recipe: Recipe = RECIPE):
    """The site behind `up`, what reads it, and the factors among its edges."""
    (site,) = [s for s in scaling_sites(GATED) if any(m.value.name == "up" for m in s.edges)]
    own = readers(GATED, site)
    return site, own, factors(site, own, observed_widths(demand(GATED, recipe)))


def test_a_factor_of_what_is_read_is_found_with_the_steps_of_its_range():
    _, _, met = found()
    assert [(m.value.name, steps) for m, steps in met.items()] == [("up", 255)]


def test_what_stays_real_is_no_factor():
    token = Widths(8, 8, per_token=True)
    _, _, met = found(Recipe(widths=WidthRule(default=token, ends=token, depthwise=token)))
    assert not met


def test_the_error_is_that_of_the_product_when_the_factor_is_rounded():
    site, own, met = found()
    ((member, steps),) = met.items()
    step = (UPS.max() - UPS.min()) / steps
    rounded = np.rint(UPS / step) * step
    noise = np.square((rounded - UPS) * GATES).sum() / np.square(UPS * GATES).sum()
    part = shares(site, own, collect_probes(GATED, [own[0].node], SAMPLES, RECIPE))
    factor = Factor(member, (channels(UPS.reshape(-1, 16), where="up"),), steps)
    error, evened = factor.errors(part, [scaling(FAR[None])])
    assert part.sum() == pytest.approx(1)
    assert error == pytest.approx(noise, rel=0.5)
    assert evened < error / 100


def test_smoothing_weighs_a_factor_against_the_product():
    """Even factors make an uneven product here, 300 to 1: the best lies between."""
    after = Smooth(samples=SAMPLES, recipe=RECIPE).run(GATED)
    (up,) = (n for n in after.nodes if n.name == "up")
    values = Graph("up", after.inputs, (("up", up),)).run(*SAMPLES[0])[0]
    peaks = np.abs(values).max((0, 1))
    assert 5 * np.median(peaks) < peaks.max() < 75 * np.median(peaks)
