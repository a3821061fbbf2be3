"""Weights alone in integers: what reads them reads reals, and nothing around is calibrated."""
# ruff: noqa: E501  the texts stand as they are printed

import numpy as np

from qcompile.coverage import coverage
from qcompile.ir.ops.linear import Conv, MatMul
from qcompile.ir.ops.quant import Observe
from qcompile.ir.ops.source import Const
from qcompile.ir.widths import parse_widths
from qcompile.passes.calibrate import Calibrate, observed
from qcompile.passes.choose_widths import WidthRule, choose_widths
from qcompile.passes.quantize import Quantize
from qcompile.passes.recipe import Recipe
from qcompile.passes.specify import Specify
from tests.helpers import check_rewrite, read, seeded_inputs

WEIGHTS = Recipe(widths=WidthRule(overrides={"y": parse_widths("W4A16-g8")}))
PRODUCT = """
    def f(x: f32[1, 2, 8]):
        w: f32[8, 1] = const([[7.0], [-8.0], [1.0], [0.0], [2.0], [3.0], [-1.0], [5.0]])
        y = mat_mul(x, w)
        return y
    """


def test_a_weight_is_marked_and_the_value_is_not():
    check_rewrite(
        PRODUCT,
        Specify(WEIGHTS),
        """
        def f(x: f32[1, 2, 8]):
            w: f32[8, 1] = const([[7.0], [-8.0], [1.0], [0.0], [2.0], [3.0], [-1.0], [5.0]])
            w_range: f32[8, 1] = observe(w, spec=spec(elem=i4, symmetric=True, axis=1, method="mse", group=8), name="w.range")
            y: f32[1, 2, 1] = mat_mul(x, w_range)
            return y
        """,
        within=0,
    )


def test_integers_are_made_real_where_they_are_read():
    calibrated = Calibrate([]).run(Specify(WEIGHTS).run(read(PRODUCT)))
    integer = Quantize(WEIGHTS).run(calibrated)
    assert [n.op for n in integer.nodes if n.operands] == ["expand_groups", "dequantize", "mat_mul"]
    stored = next(n for n in integer.nodes if isinstance(n, Const))
    assert str(stored.elem) == "i4"
    inputs = seeded_inputs(integer)
    np.testing.assert_array_equal(calibrated.run(*inputs)[0], integer.run(*inputs)[0])
    assert list(coverage(integer, WEIGHTS).islands) == ["y"]


def test_a_whole_network_keeps_its_values_real():
    text = """
    def f(x: f32[1, 2, 4, 4]):
        v: f32[2, 2, 1, 1] = const(...)
        w: f32[4, 4] = const(...)
        c = conv(x, v)
        r = relu(c)
        m = mat_mul(r, w)
        s = add(m, r)
        y = mat_mul(s, s)
        return y
    """
    recipe = Recipe(widths=WidthRule(parse_widths("W4A16")))
    marked = Specify(recipe).run(read(text))
    assert observed(marked) == ()
    assert [n.spec.elem.name for n in marked.nodes if isinstance(n, Observe)] == ["i8", "i4"]
    integer = Quantize(recipe).run(Calibrate([]).run(marked))
    assert all(n.type.is_float for n in integer.nodes if isinstance(n, Conv | MatMul))
    found = {n.name: str(c.widths) for n, c in choose_widths(read(text), recipe.widths).items()}
    assert found == {"c": "W8A16", "m": "W4A16", "y": "W8A16"}
