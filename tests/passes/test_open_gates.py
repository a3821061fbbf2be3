"""Gates opened for scales, and closed again where nobody used them."""

import numpy as np
import pytest

from qcompile.analysis.axes import ScalingSite, scaling_sites
from qcompile.ir.graph import Graph
from qcompile.passes.close_gates import CloseGates
from qcompile.passes.open_gates import OpenGates
from qcompile.passes.transforms import scaled
from tests.helpers import check_rewrite, check_unchanged, read, seeded_inputs

GATED = """
    def f(x: f32[1, 3, 4], u: f32[1, 3, 4]):
        w: f32[4, 4] = const(...)
        down: f32[4, 4] = const(...)
        z: f32[1, 3, 4] = mat_mul(x, w)
        g: f32[1, 3, 4] = silu(z)
        h: f32[1, 3, 4] = mul(u, g)
        y: f32[1, 3, 4] = mat_mul(h, down)
        return y
    """
OPENED = """
    def f(x: f32[1, 3, 4], u: f32[1, 3, 4]):
        w: f32[4, 4] = const(...)
        z: f32[1, 3, 4] = mat_mul(x, w)
        g_scale: f32[4] = const([1.0, 1.0, 1.0, 1.0], name="g.scale")
        g_scaled: f32[1, 3, 4] = mul(z, g_scale, name="g.scaled")
        g_gate: f32[1, 3, 4] = sigmoid(g_scaled, name="g.gate")
        g: f32[1, 3, 4] = mul(z, g_gate)
        h: f32[1, 3, 4] = mul(u, g)
        down: f32[4, 4] = const(...)
        y: f32[1, 3, 4] = mat_mul(h, down)
        return y
    """
ALONE = """
    def f(x: f32[1, 3, 4]):
        y: f32[1, 3, 4] = silu(x)
        return y
    """


READ_BY_A_WEIGHT = """
    def f(x: f32[1, 3, 4], u: f32[1, 3, 4]):
        w: f32[4, 4] = const(...)
        z: f32[1, 3, 4] = mat_mul(x, w)
        g: f32[1, 3, 4] = silu(z)
        h: f32[1, 3, 4] = mul(u, g)
        other: f32[4, 2] = const(...)
        y: f32[1, 3, 2] = mat_mul(g, other)
        return h, y
    """
READ_BY_A_SUM = """
    def f(x: f32[1, 3, 4], u: f32[1, 3, 4]):
        w: f32[4, 4] = const(...)
        z: f32[1, 3, 4] = mat_mul(x, w)
        g: f32[1, 3, 4] = silu(z)
        h: f32[1, 3, 4] = mul(u, g)
        y: f32[1, 3, 4] = add(g, x)
        return h, y
    """


def hidden(graph: Graph) -> list[ScalingSite]:
    """Sites that scale what the last product reads."""
    return [site for site in scaling_sites(graph) if any(m.value.name == "h" for m in site.edges)]


def test_a_gate_of_a_product_is_opened():
    check_rewrite(GATED, OpenGates(), OPENED)


def test_an_activation_that_gates_nothing_is_left_alone():
    check_unchanged(ALONE, OpenGates())


def test_a_gate_that_a_weight_reads_too_is_opened():
    ops = [node.op for node in OpenGates().run(read(READ_BY_A_WEIGHT)).nodes]
    assert "sigmoid" in ops
    assert "silu" not in ops


def test_a_gate_that_something_else_reads_is_left_alone():
    check_unchanged(READ_BY_A_SUM, OpenGates())


def test_a_closed_gate_lets_no_scale_by_and_an_opened_one_does():
    graph = read(GATED)
    assert not hidden(graph)
    assert len(hidden(OpenGates().run(graph))) == 1


@pytest.mark.parametrize("spread", [3.0, 100.0])
def test_a_scale_through_the_gate_keeps_the_function_and_the_gate_open(spread: float):
    graph = OpenGates().run(read(GATED))
    (site,) = hidden(graph)
    s = np.geomspace(1, spread, site.size)
    after = CloseGates().run(scaled(graph, site, s))
    assert "sigmoid" in [node.op for node in after.nodes]
    inputs = seeded_inputs(graph)
    np.testing.assert_allclose(after.run(*inputs)[0], graph.run(*inputs)[0], rtol=1e-4, atol=1e-5)
