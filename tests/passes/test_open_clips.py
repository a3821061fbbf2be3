"""Clips opened for scales: where convolutions stand on both sides, and what a scale then does."""

import numpy as np
import pytest

from qcompile.analysis.axes import ScalingSite, Survey, scaling_sites
from qcompile.ir.graph import Graph
from qcompile.ir.ops.binary import Minimum
from qcompile.passes.open_clips import OpenClips
from qcompile.passes.transforms import scaled
from tests.analysis.axes.convolutional import mobilenet
from tests.analysis.axes.random_maps import difference, transformed
from tests.helpers import check_rewrite, check_unchanged, read, seeded_inputs

CAPPED = """
    def f(x: f32[1, 2, 4, 4]):
        w: f32[3, 2, 1, 1] = const(...)
        a: f32[1, 3, 4, 4] = conv(x, w)
        c: f32[1, 3, 4, 4] = clip(a, lo=0.0, hi=%s)
        v: f32[2, 3, 1, 1] = const(...)
        y: f32[1, 2, 4, 4] = conv(c, v)
        return y
    """
OPENED = """
    def f(x: f32[1, 2, 4, 4]):
        w: f32[3, 2, 1, 1] = const(...)
        a: f32[1, 3, 4, 4] = conv(x, w)
        c_relu: f32[1, 3, 4, 4] = relu(a, name="c.relu")
        c_caps: f32[3, 1, 1] = const([[[6.0]], [[6.0]], [[6.0]]], name="c.caps")
        c: f32[1, 3, 4, 4] = minimum(c_relu, c_caps)
        v: f32[2, 3, 1, 1] = const(...)
        y: f32[1, 2, 4, 4] = conv(c, v)
        return y
    """
NO_REASON = {
    "a clip at an output": """
        def f(x: f32[1, 2, 4, 4]):
            w: f32[3, 2, 1, 1] = const(...)
            a: f32[1, 3, 4, 4] = conv(x, w)
            c: f32[1, 3, 4, 4] = clip(a, lo=0.0, hi=6.0)
            return c
        """,
    "a clip of both signs": """
        def f(x: f32[1, 2, 4, 4]):
            w: f32[3, 2, 1, 1] = const(...)
            a: f32[1, 3, 4, 4] = conv(x, w)
            c: f32[1, 3, 4, 4] = clip(a, lo=-1.0, hi=1.0)
            v: f32[2, 3, 1, 1] = const(...)
            y: f32[1, 2, 4, 4] = conv(c, v)
            return y
        """,
    "a clip of an input": """
        def f(x: f32[1, 2, 4, 4]):
            c: f32[1, 2, 4, 4] = clip(x, lo=0.0, hi=6.0)
            v: f32[2, 2, 1, 1] = const(...)
            y: f32[1, 2, 4, 4] = conv(c, v)
            return y
        """,
}


def test_a_clip_between_convolutions_is_opened():
    check_rewrite(CAPPED % "6.0", OpenClips(), OPENED)


@pytest.mark.parametrize("text", NO_REASON.values(), ids=NO_REASON.keys())
def test_is_left_alone(text: str):
    check_unchanged(text, OpenClips())


def bound(graph: Graph) -> np.ndarray:
    (found,) = [n for n in graph.nodes if isinstance(n, Minimum)]
    return np.asarray(found.operands[1].evaluate()).reshape(-1)


def test_a_scale_divides_each_bound():
    net = OpenClips().run(read(CAPPED % "6.0"))
    s = np.array([2.0, 0.5, 3.0])
    after = scaled(net, next(s for s in scaling_sites(net) if s.size == 3), s)
    np.testing.assert_allclose(bound(after), 6 / s, rtol=1e-6)
    given = seeded_inputs(net)
    np.testing.assert_allclose(after.run(*given)[0], net.run(*given)[0], rtol=1e-4, atol=1e-5)


OPEN = OpenClips().run(mobilenet())
SITES = Survey(OPEN).scalings


def test_all_of_a_mobilenet_takes_scales_then():
    assert {"b1.expand", "b1.d", "b2.expand", "b2.d"} <= {site.name for site in SITES}


@pytest.mark.parametrize("site", SITES, ids=str)
def test_each_of_them_is_exact(site: ScalingSite):
    assert difference(OPEN, transformed(OPEN, site)) < 1e-9
