"""Products that scale at run time: what is marked, what becomes of it, and its bits by hand."""
# ruff: noqa: E501  the texts stand as they are printed

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qcompile.calibrate.collect import collect
from qcompile.coverage import coverage
from qcompile.ir.graph import Graph
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.quant import FakeQuantDynamic, Observe
from qcompile.ir.types import Scalar
from qcompile.ir.widths import Widths, parse_widths
from qcompile.passes.calibrate import Calibrate, observed
from qcompile.passes.choose_widths import WidthRule, choose_widths
from qcompile.passes.invariants import CALIBRATED, INTEGER
from qcompile.passes.quantize import Quantize
from qcompile.passes.recipe import Recipe
from qcompile.passes.specify import Specify
from tests.helpers import assert_close, check_rewrite, read, seeded_inputs

Values = NDArray[Any]
TOKEN = Recipe(widths=WidthRule(parse_widths("W8A8-token")))
PRODUCT = """
    def f(x: f32[1, 2, 3]):
        w: f32[3, 2] = const([[1.0, 0.5], [-1.27, 0.25], [0.5, -1.27]])
        b: f32[2] = const([0.5, -1.0])
        y = mat_mul(x, w, b)
        return y
    """
BLOCK = """
    def f(x: f32[1, 4, 8]):
        wq: f32[8, 8] = const(...)
        wk: f32[8, 8] = const(...)
        wv: f32[8, 8] = const(...)
        q = mat_mul(x, wq)
        k = mat_mul(x, wk)
        v = mat_mul(x, wv)
        kt = transpose(k, perm=(0, 2, 1))
        s = mat_mul(q, kt)
        p = softmax(s, axis=2)
        o = mat_mul(p, v)
        y = add(o, x)
        return y
    """


def stages(text: str, recipe: Recipe) -> tuple[Graph, Graph, Graph]:
    """Float, calibrated and integer, calibrated on seeded inputs where something is to be seen."""
    before = read(text)
    marked = Specify(recipe).run(before)
    seen = collect(marked, observed(marked), [seeded_inputs(before)])
    calibrated = Calibrate(seen).run(marked)
    return before, calibrated, Quantize(recipe).run(calibrated)


def test_a_value_is_marked_along_the_axis_that_is_summed_over():
    check_rewrite(
        PRODUCT,
        Specify(TOKEN),
        """
        def f(x: f32[1, 2, 3]):
            x_vectors2_i8_range: f32[1, 2, 3] = observe(x, spec=spec(elem=i8, symmetric=True, along=2), name="x.vectors2.i8.range")
            w: f32[3, 2] = const([[1.0, 0.5], [-1.27, 0.25], [0.5, -1.27]])
            w_range: f32[3, 2] = observe(w, spec=spec(elem=i8, symmetric=True, axis=1), name="w.range")
            b: f32[2] = const([0.5, -1.0])
            y: f32[1, 2, 2] = mat_mul(x_vectors2_i8_range, w_range, b)
            return y
        """,
        within=0,
    )


def test_nothing_is_seen_to_calibrate_it():
    marked = Specify(TOKEN).run(read(PRODUCT))
    assert observed(marked) == ()
    check_rewrite(
        marked,
        Calibrate([]),
        """
        def f(x: f32[1, 2, 3]):
            x_vectors2_i8: f32[1, 2, 3] = fake_quant_dynamic(x, elem=i8, axis=2, name="x.vectors2.i8")
            w: f32[3, 2] = const([[1.0, 0.5], [-1.27, 0.25], [0.5, -1.27]])
            w_2: f32[3, 2] = fake_quant(w, elem=i8, unit=q((0.009999999776482582, 0.009999999776482582), axis=1), name="w")
            b: f32[2] = const([0.5, -1.0])
            y: f32[1, 2, 2] = mat_mul(x_vectors2_i8, w_2, b)
            return y
        """,
        within=0.02,
    )


def test_integers_lie_between_a_division_and_two_products():
    _, calibrated, _ = stages(PRODUCT, TOKEN)
    check_rewrite(
        calibrated,
        Quantize(TOKEN),
        """
        def f(x: f32[1, 2, 3]):
            _1: f32[1, 2, 3] = abs(x)
            _2: f32[1, 2, 1] = reduce_max(_1, axes=(2,))
            _3: f32[1, 2, 1] = clip(_2, lo=7.888609052210118e-31)
            _4: f32[()] = const(127.0)
            x_vectors2_i8_scale: f32[1, 2, 1] = div(_3, _4, name="x.vectors2.i8.scale")
            _6: f32[1, 2, 3] = div(x, x_vectors2_i8_scale)
            x_vectors2_i8: i8[1, 2, 3] @ q(1.0) = quantize(_6, name="x.vectors2.i8")
            w: i8[3, 2] @ q((0.009999999776482582, 0.009999999776482582), axis=1) = const([[100, 50], [-127, 25], [50, -127]])
            y_sum: i32[1, 2, 2] @ q((0.009999999776482582, 0.009999999776482582), axis=2) = mat_mul(x_vectors2_i8, w, name="y.sum")
            _10: f32[1, 2, 2] = dequantize(y_sum)
            _11: f32[1, 2, 2] = mul(_10, x_vectors2_i8_scale)
            b: f32[2] = const([0.5, -1.0])
            y: f32[1, 2, 2] = add(_11, b)
            return y
        """,
    )


@pytest.mark.parametrize("bits", [4, 8])
def test_the_bits_are_those_of_the_law(bits: int):
    recipe = Recipe(widths=WidthRule(overrides={"y": Widths(8, bits, per_token=True)}))
    _, _, integer = stages(PRODUCT, recipe)
    (x,) = seeded_inputs(integer)
    w = np.array([[100, 50], [-127, 25], [50, -127]])
    scale = np.abs(x).max(2, keepdims=True) / np.float32(Scalar(f"i{bits}").hi)
    total = (np.rint(x / scale).astype(np.int64) @ w).astype(np.float32)
    wanted = total * np.float32(0.01) * scale + np.array([0.5, -1.0], np.float32)
    np.testing.assert_array_equal(integer.run(x)[0], wanted)


def test_a_product_of_two_values_scales_both():
    _, calibrated, integer = stages(BLOCK, TOKEN)
    marks = {n.name: n.axis for n in calibrated.nodes if isinstance(n, FakeQuantDynamic)}
    assert marks == {
        "x.vectors2.i8": 2, "q.vectors2.i8": 2, "kt.vectors1.i8": 1,
        "p.vectors2.i8": 2, "v.vectors1.i8": 1,
    }  # fmt: skip
    products = [n for n in integer.nodes if isinstance(n, MatMul)]
    assert all(n.type.is_quantized for n in products)
    assert len(products) == 5


def test_the_integers_say_what_the_snapped_reals_say():
    real, calibrated, integer = stages(BLOCK, TOKEN)
    inputs = seeded_inputs(real)
    snapped = calibrated.run(*inputs)[0]
    assert_close(snapped, integer.run(*inputs)[0], within=1e-4)
    assert_close(real.run(*inputs)[0], snapped, within=0.03)
    assert not list(CALIBRATED.offences(calibrated))
    assert not list(INTEGER.offences(integer))


def test_what_lies_between_the_products_stays_real():
    marked = Specify(TOKEN).run(read(BLOCK))
    specs = {n.spec.along is None for n in marked.nodes if isinstance(n, Observe) and n.x.operands}
    assert specs == {False}


def test_a_convolution_behind_is_calibrated_as_ever():
    text = """
    def f(x: f32[1, 1, 4, 4]):
        w: f32[4, 4] = const(...)
        v: f32[1, 1, 1, 1] = const(...)
        a = mat_mul(x, w)
        r = relu(a)
        c = conv(r, v)
        y = relu(c)
        return y
    """
    marked = Specify(TOKEN).run(read(text))
    assert [n.name for n in observed(marked)] == ["r.range"]
    assert observed(marked)[0].spec.along is None


def test_one_product_by_name():
    recipe = Recipe(widths=WidthRule(overrides={"s": parse_widths("W8A8-token")}))
    _, calibrated, _ = stages(BLOCK, recipe)
    marks = [n.name for n in calibrated.nodes if isinstance(n, FakeQuantDynamic)]
    assert marks == ["q.vectors2.i8", "kt.vectors1.i8"]


def test_an_excluded_product_stays_real():
    recipe = Recipe(widths=TOKEN.widths, exclude=("s",))
    _, _, integer = stages(BLOCK, recipe)
    assert integer.named("s").type.is_float
    assert not list(INTEGER.offences(integer))


def test_only_matrix_products_are_scaled_at_run_time():
    text = """
    def f(x: f32[1, 1, 4, 4]):
        v: f32[1, 1, 1, 1] = const(...)
        w: f32[4, 4] = const(...)
        c = conv(x, v)
        y = mat_mul(c, w)
        return y
    """
    rule = WidthRule(parse_widths("W4A8-g8-token"), overrides={"c": parse_widths("W4A8-token")})
    found = {n.name: str(c.widths) for n, c in choose_widths(read(text), rule).items()}
    assert found == {"c": "W4A8", "y": "W8A8-token"}


def test_reals_around_the_products_are_one_island():
    _, _, integer = stages(BLOCK, TOKEN)
    found = coverage(integer, TOKEN)
    assert list(found.islands) == ["q … y"]
    assert "between products that scale at run time" in found.islands["q … y"]
    assert found.macs_integer == found.macs_total
    assert not found.integer_only


def test_a_sum_that_could_pass_32_bits_stays_real():
    text = """
    def f(x: f32[1, 140000], y: f32[140000, 1]):
        z = mat_mul(x, y)
        return z
    """
    _, _, integer = stages(text, TOKEN)
    assert integer.named("z").type.is_float
    assert not list(INTEGER.offences(integer))
