"""Observations become units: of activations from statistics, of weights from their values."""

import numpy as np
import pytest

from qcompile.calibrate.collect import collect
from qcompile.calibrate.statistics import Statistics, statistics
from qcompile.ir.graph import Graph
from qcompile.ir.ops.quant import FakeQuant, Spec
from qcompile.ir.ops.source import Const
from qcompile.ir.types import U8
from qcompile.ir.unit import Affine
from qcompile.passes.calibrate import Calibrate, estimate, observed, unit_of
from qcompile.passes.invariants import CALIBRATED
from qcompile.passes.recipe import Recipe
from qcompile.passes.specify import Specify
from tests.helpers import apply, check_rewrite, read, seeded_inputs

MINMAX = Recipe(activation=Spec(U8, method="minmax"))


def seen(lo: float, hi: float) -> Statistics:
    return statistics(np.array([lo, hi], np.float32), where="here")


def calibrated(text: str, *ranges: tuple[float, float]) -> Graph:
    """The graph with these ranges on its observed edges, in order."""
    graph = Specify(MINMAX).run(read(text))
    return Calibrate([seen(*r) for r in ranges]).run(graph)


def unit(graph: Graph, name: str) -> Affine:
    marker = next(n for n in graph.nodes if isinstance(n, FakeQuant) and n.name == name)
    return marker.unit


def test_every_mark_becomes_a_unit():
    check_rewrite(
        """
        def f(x: f32[1, 2]):
            x_range = observe(x, spec=spec(), name="x.range")
            w: f32[2, 2] = const([[0.5, 2.0], [-1.0, 1.0]])
            w_range = observe(w, spec=spec(elem=i8, symmetric=True, axis=1), name="w.range")
            y = mat_mul(x_range, w_range)
            return y
        """,
        Calibrate([seen(-2.0, 8.2)]),
        """
        def f(x: f32[1, 2]):
            x_2: f32[1, 2] = fake_quant(x, elem=u8, unit=q(0.03999999910593033, 50), name="x")
            w: f32[2, 2] = const([[0.5, 2.0], [-1.0, 1.0]])
            w_2: f32[2, 2] = fake_quant(w, elem=i8, unit=q((0.007874015718698502, 0.015748031437397003), axis=1), name="w")
            y: f32[1, 2] = mat_mul(x_2, w_2)
            return y
        """,  # noqa: E501
        within=0.1,
    )


def test_a_graph_without_marks_is_left_alone():
    graph = read("def f(x: f32[2]):\n    y = relu(x)\n    return y")
    assert apply(Calibrate([]), graph) is graph


def test_nothing_is_left_to_calibrate():
    graph = Specify().run(read("def f(x: f32[1, 4]):\n    y = sigmoid(x)\n    return y"))
    found = collect(graph, observed(graph), [seeded_inputs(graph)])
    CALIBRATED.check(Calibrate(found).run(graph), where="after calibrate")


@pytest.mark.parametrize("method", ["auto", "minmax", "percentile", "mse", "entropy"])
def test_the_marks_method_is_asked(method: str):
    values = np.random.default_rng(0).standard_normal(300_000).astype(np.float32)
    values[:2] = -100, 100
    found = statistics(values, where="x")
    lo, hi = estimate(Spec(U8, method=method), found)
    assert found.lo <= lo < 0 < hi <= found.hi
    assert ((lo, hi) == (found.lo, found.hi)) == (method == "minmax")


CONCAT = """
    def f(x: f32[1, 2, 4, 4], z: f32[1, 2, 4, 4]):
        w: f32[2, 4, 1, 1] = const(...)
        t = transpose(z, perm=(0, 1, 3, 2))
        c = concat((x, t), axis=1)
        y = conv(c, w)
        return y
    """


def test_parts_of_a_concat_within_a_factor_4_share_the_widest_range():
    graph = calibrated(CONCAT, (-1.0, 0.5), (0.0, 5.0))
    assert unit(graph, "x") == unit(graph, "z")
    assert unit(graph, "x").scale[0] == pytest.approx(6 / 255)


def test_parts_of_a_concat_further_apart_keep_their_own():
    graph = calibrated(CONCAT, (-1.0, 0.0), (0.0, 4.1))
    assert unit(graph, "x").scale[0] == pytest.approx(1 / 255)
    assert unit(graph, "z").scale[0] == pytest.approx(4.1 / 255)


def test_a_concat_of_one_value_with_itself_keeps_its_range():
    text = CONCAT.replace("transpose(z, perm=(0, 1, 3, 2))", "transpose(x, perm=(0, 1, 3, 2))")
    assert unit(calibrated(text, (0.0, 2.55)), "x").scale[0] == pytest.approx(0.01)


def test_a_dead_part_of_a_concat_joins_nothing():
    graph = calibrated(CONCAT, (0.0, 0.0), (0.0, 2.55))
    assert unit(graph, "z").scale[0] == pytest.approx(0.01)


def test_a_value_marked_twice_has_a_unit_for_each_width():
    check_rewrite(
        """
        def f(x: f32[1, 2]):
            x_range = observe(x, spec=spec(), name="x.range")
            x_u4_range = observe(x_range, spec=spec(elem=u4), name="x.u4.range")
            return x_range, x_u4_range
        """,
        Calibrate([seen(0.0, 2.55)] * 2),
        """
        def f(x: f32[1, 2]):
            x_2: f32[1, 2] = fake_quant(x, elem=u8, unit=q(0.009999999776482582), name="x")
            x_u4: f32[1, 2] = fake_quant(x_2, elem=u4, unit=q(0.17000000178813934), name="x.u4")
            return {"x_range": x_2, "x_u4_range": x_u4}
        """,
        within=2.0,
    )


def test_the_unit_of_a_joined_value_is_that_of_its_coarsest_part():
    graph = calibrated(CONCAT, (0.0, 1.0), (0.0, 10.0))
    assert unit_of(graph.named("c")) == unit(graph, "z")


def test_a_bias_counts_in_the_unit_of_its_input():
    text = """
        def f(x: f32[1, 2]):
            w: f32[2, 1] = const([1.27e-6, 1.27e-6])
            b: f32[1] = const([100.0])
            y = mat_mul(x, w, b)
            return y
        """
    graph = calibrated(text, (0.0, 2.55))
    assert 100.0 / (unit(graph, "w").scale[0] * 0.01) == pytest.approx(2.0**30)


def test_each_weight_is_marked_where_it_is_read():
    text = """
        def f(x: f32[1, 2, 4, 4]):
            w: f32[2, 2, 1, 1] = const(...)
            a = conv(x, w)
            b = conv_transpose(a, w)
            y = conv(b, w)
            return y
        """
    graph = calibrated(text, (-1.0, 1.0), (-1.0, 1.0), (-1.0, 1.0))
    markers = [n for n in graph.nodes if isinstance(n, FakeQuant) and isinstance(n.x, Const)]
    assert [m.unit.axis for m in markers] == [0, 1, 0]
