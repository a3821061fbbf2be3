"""From snapped reals to integers: each operation's form, and what stays float."""
# ruff: noqa: E501  the texts stand as they are printed

import numpy as np
import pytest

from qcompile.coverage import coverage
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.integer import Lut, Requantize, SoftmaxInteger
from qcompile.ir.ops.quant import Quantize as ToIntegers
from qcompile.ir.ops.shape import Concat
from qcompile.ir.types import I32, U8
from qcompile.passes.invariants import INTEGER
from qcompile.passes.quantize import Quantize
from qcompile.passes.recipe import Recipe
from tests.helpers import assert_close, check_rewrite, check_unchanged, read, seeded_inputs

PASS = Quantize()
HALF_STEP = 0.51


def of(kind: type[Node], graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if isinstance(node, kind)]


def assert_within_steps(before: Graph, after: Graph, *, step: float, steps: float) -> None:
    """The integers give what the snapped reals give, to so many steps of the last unit."""
    inputs = seeded_inputs(before)
    for x, y in zip(before.run(*inputs), after.run(*inputs), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-6, atol=steps * step)


def islands(graph: Graph, recipe: Recipe | None = None) -> dict[str, str]:
    return dict(coverage(graph, Recipe() if recipe is None else recipe).islands)


FORMS = {
    "a value that one reader wants in 8 bits and another in 4: narrowed between them": (
        """
        def f(x: f32[1, 2]):
            x_2 = fake_quant(x, elem=u8, unit=q(0.25), name="x")
            w: f32[2, 2] = const([[1.0, -0.5], [0.25, 0.5]])
            w_2 = fake_quant(w, elem=i8, unit=q(0.25), name="w")
            a = mat_mul(x_2, w_2)
            r = fake_quant(a, elem=u8, unit=q(0.1875), name="r")
            r_u4 = fake_quant(r, elem=u4, unit=q(0.9375), name="r.u4")
            v: f32[2, 2] = const([[0.5, -4.0], [1.0, 3.5]])
            v_2 = fake_quant(v, elem=i4, unit=q(0.5), name="v")
            b = mat_mul(r_u4, v_2)
            return r, b
        """,
        """
        def f(x: f32[1, 2]):
            x_2: u8[1, 2] @ q(0.25) = quantize(x, name="x")
            w: i8[2, 2] @ q(0.25) = const([[4, -2], [1, 2]])
            a: i32[1, 2] @ q(0.0625) = mat_mul(x_2, w)
            r: u8[1, 2] @ q(0.1875) = requantize(a, numbers=multipliers((1431655765,), 32), lo=0, hi=255)
            r_2: f32[1, 2] = dequantize(r, name="r")
            r_u4: u4[1, 2] @ q(0.9375) = requantize(r, numbers=multipliers((3355443,), 24), lo=0, hi=15, name="r.u4")
            v: i4[2, 2] @ q(0.5) = const([[1, -8], [2, 7]])
            b: i32[1, 2] @ q(0.46875) = mat_mul(r_u4, v)
            b_2: f32[1, 2] = dequantize(b, name="b")
            return {"r": r_2, "b": b_2}
        """,
    ),
    "a sum that goes to 4 bits at once": (
        """
        def f(x: f32[1, 2]):
            x_2 = fake_quant(x, elem=u4, unit=q(0.25, 3), name="x")
            w: f32[2, 2] = const([[1.0, -0.5], [0.25, 0.5]])
            w_2 = fake_quant(w, elem=i4, unit=q(0.25), name="w")
            a = mat_mul(x_2, w_2)
            r = relu(a)
            y = fake_quant(r, elem=u4, unit=q(0.5), name="y")
            return y
        """,
        """
        def f(x: f32[1, 2]):
            x_2: u4[1, 2] @ q(0.25, 3) = quantize(x, name="x")
            w: i4[2, 2] @ q(0.25) = const([[4, -2], [1, 2]])
            a: i32[1, 2] @ q(0.0625) = mat_mul(x_2, w)
            y: u4[1, 2] @ q(0.5) = requantize(a, numbers=multipliers((1,), 3), lo=0, hi=15)
            y_2: f32[1, 2] = dequantize(y, name="y")
            return {"y": y_2}
        """,
    ),
    "a matrix product, its bias and the bound behind it": (
        """
        def f(x: f32[1, 2]):
            x_2 = fake_quant(x, elem=u8, unit=q(0.5, 128), name="x")
            w: f32[2, 2] = const([[1.0, -0.5], [0.25, 0.5]])
            w_2 = fake_quant(w, elem=i8, unit=q((0.25, 0.5), axis=1), name="w")
            b: f32[2] = const([1.0, -1.0])
            a = mat_mul(x_2, w_2, b)
            r = relu(a)
            y = fake_quant(r, elem=u8, unit=q(0.125), name="y")
            return y
        """,
        """
        def f(x: f32[1, 2]):
            x_2: u8[1, 2] @ q(0.5, 128) = quantize(x, name="x")
            w: i8[2, 2] @ q((0.25, 0.5), axis=1) = const([[4, -1], [1, 1]])
            b: i32[2] @ q((0.125, 0.25), axis=0) = const([8, -4])
            a: i32[1, 2] @ q((0.125, 0.25), axis=1) = mat_mul(x_2, w, b)
            y: u8[1, 2] @ q(0.125) = requantize(a, numbers=multipliers((1, 2), 0), lo=0, hi=255)
            y_2: f32[1, 2] = dequantize(y, name="y")
            return {"y": y_2}
        """,
    ),
    "a bound that the range does not imply": (
        """
        def f(x: f32[1, 2]):
            x_2 = fake_quant(x, elem=u8, unit=q(0.5, 128), name="x")
            w: f32[2, 1] = const([[1.0], [0.25]])
            w_2 = fake_quant(w, elem=i8, unit=q(0.25), name="w")
            a = mat_mul(x_2, w_2)
            r = clip(a, lo=-1.0, hi=2.0)
            y = fake_quant(r, elem=u8, unit=q(0.125, 100), name="y")
            return y
        """,
        """
        def f(x: f32[1, 2]):
            x_2: u8[1, 2] @ q(0.5, 128) = quantize(x, name="x")
            w: i8[2, 1] @ q(0.25) = const(...)
            a: i32[1, 1] @ q(0.125) = mat_mul(x_2, w)
            y: u8[1, 1] @ q(0.125, 100) = requantize(a, numbers=multipliers((1,), 0), lo=92, hi=116)
            y_2: f32[1, 1] = dequantize(y, name="y")
            return {"y": y_2}
        """,
    ),
    "a residual sum, through one fine unit and rounded once": (
        """
        def f(x: f32[1, 2], z: f32[1, 2]):
            x_2 = fake_quant(x, elem=u8, unit=q(0.0078125, 128), name="x")
            z_2 = fake_quant(z, elem=u8, unit=q(0.03125, 128), name="z")
            s = add(x_2, z_2)
            r = relu(s)
            y = fake_quant(r, elem=u8, unit=q(0.0625), name="y")
            return y
        """,
        """
        def f(x: f32[1, 2], z: f32[1, 2]):
            x_2: u8[1, 2] @ q(0.0078125, 128) = quantize(x, name="x")
            x_wide: i32[1, 2] @ q(1.1920928955078125e-07) = requantize(x_2, numbers=multipliers((65536,), 0), lo=-1073741824, hi=1073741824, name="x.wide")
            z_2: u8[1, 2] @ q(0.03125, 128) = quantize(z, name="z")
            z_wide: i32[1, 2] @ q(1.1920928955078125e-07) = requantize(z_2, numbers=multipliers((262144,), 0), lo=-1073741824, hi=1073741824, name="z.wide")
            s: i32[1, 2] @ q(1.1920928955078125e-07) = add(x_wide, z_wide)
            y: u8[1, 2] @ q(0.0625) = requantize(s, numbers=multipliers((1,), 19), lo=0, hi=255)
            y_2: f32[1, 2] = dequantize(y, name="y")
            return {"y": y_2}
        """,
    ),
    "a table": (
        """
        def f(x: f32[1, 2]):
            x_2 = fake_quant(x, elem=u8, unit=q(0.0625, 128), name="x")
            a = sigmoid(x_2)
            y = fake_quant(a, elem=u8, unit=q(0.00390625), name="y")
            return y
        """,
        """
        def f(x: f32[1, 2]):
            x_2: u8[1, 2] @ q(0.0625, 128) = quantize(x, name="x")
            _2: u8[256] @ q(0.00390625) = const(...)
            a: u8[1, 2] @ q(0.00390625) = lut(x_2, _2)
            y: f32[1, 2] = dequantize(a)
            return y
        """,
    ),
    "a move keeps its unit": (
        """
        def f(x: f32[1, 2]):
            x_2 = fake_quant(x, elem=u8, unit=q(0.5, 128), name="x")
            t = transpose(x_2, perm=(1, 0))
            y: f32[2] = reshape(t)
            return y
        """,
        """
        def f(x: f32[1, 2]):
            x_2: u8[1, 2] @ q(0.5, 128) = quantize(x, name="x")
            t: u8[2, 1] @ q(0.5, 128) = transpose(x_2, perm=(1, 0))
            y: u8[2] @ q(0.5, 128) = reshape(t)
            y_2: f32[2] = dequantize(y, name="y")
            return {"y": y_2}
        """,
    ),
    "an average without a division": (
        """
        def f(x: f32[1, 1, 2, 2]):
            x_2 = fake_quant(x, elem=u8, unit=q(0.5, 128), name="x")
            y = average_pool(x_2, kernel=(2, 2), stride=(1, 1), pads=(1, 0, 0, 0), dilation=(1, 1))
            return y
        """,
        """
        def f(x: f32[1, 1, 2, 2]):
            x_2: u8[1, 1, 2, 2] @ q(0.5, 128) = quantize(x, name="x")
            y: i32[1, 1, 2, 1] @ q(0.125) = average_pool(x_2, kernel=(2, 2), stride=(1, 1), pads=(1, 0, 0, 0), dilation=(1, 1))
            y_2: f32[1, 1, 2, 1] = dequantize(y, name="y")
            return {"y": y_2}
        """,
    ),
    "the order of values": (
        """
        def f(x: f32[1, 4]):
            x_2 = fake_quant(x, elem=u8, unit=q(0.5, 128), name="x")
            y = arg_max(x_2, axis=1)
            return y
        """,
        """
        def f(x: f32[1, 4]):
            x_2: u8[1, 4] @ q(0.5, 128) = quantize(x, name="x")
            y: i64[1, 1] = arg_max(x_2, axis=1)
            return y
        """,
    ),
    "a bound on the input itself": (
        """
        def f(x: f32[1, 4]):
            c = clip(x, lo=-1.0, hi=2.0)
            x_2 = fake_quant(c, elem=u8, unit=q(0.03125, 64), name="c")
            y = neg(x_2)
            y_2 = fake_quant(y, elem=u8, unit=q(0.03125, 128), name="y")
            return y_2
        """,
        """
        def f(x: f32[1, 4]):
            c: u8[1, 4] @ q(0.03125, 64) = quantize(x)
            c_2: u8[1, 4] @ q(0.03125, 64) = requantize(c, numbers=multipliers((1,), 0), lo=32, hi=128, name="c")
            _3: u8[256] @ q(0.03125, 128) = const(...)
            y: u8[1, 4] @ q(0.03125, 128) = lut(c_2, _3)
            y_2: f32[1, 4] = dequantize(y, name="y")
            return y_2
        """,
    ),
}


@pytest.mark.parametrize(("before", "after"), FORMS.values(), ids=FORMS.keys())
def test_takes_its_integer_form(before: str, after: str):
    graph = check_rewrite(before, PASS, after, within=HALF_STEP)
    INTEGER.check(graph, where="after quantize")


EXACT = {
    "a sum at an output": "    y = mat_mul(x_2, w_2)",
    "a bound at an output": "    a = mat_mul(x_2, w_2)\n    y = relu(a)",
    "a bounded addition at an output": "    a = mat_mul(x_2, w_2)\n    s = add(a, x_2)\n    y = clip(s, lo=-3.0, hi=4.0)",
    "an addition at an output": "    a = mat_mul(x_2, w_2)\n    y = sub(a, x_2)",
    "a constant added": "    c: f32[2] = const([0.7, -9.0])\n    y = add(x_2, c)",
    "a product": "    y = mul(x_2, x_2)",
    "a product with constants": "    c: f32[2] = const([0.7, -9.0])\n    y = mul(x_2, c)",
    "a mean": "    y = reduce_mean(x_2, axes=(1,))",
    "a sum over an axis": "    y = reduce_sum(x_2, axes=(0,))",
    "a greatest value": "    y = reduce_max(x_2, axes=(1,))",
    "a table at an output": "    y = tanh(x_2)",
    "a bound outside of what the value reaches": "    a = mat_mul(x_2, w_2)\n    y = clip(a, lo=1e6)",
    "a move of a sum of several scales": "    a = mat_mul(x_2, w_2)\n    y = transpose(a, perm=(1, 0))",
}


@pytest.mark.parametrize("body", EXACT.values(), ids=EXACT.keys())
def test_loses_nothing_at_an_output(body: str):
    before = read(f"""
def f(x: f32[3, 2]):
    x_2 = fake_quant(x, elem=u8, unit=q(0.0625, 100), name="x")
    w: f32[2, 2] = const(...)
    w_2 = fake_quant(w, elem=i8, unit=q((0.0234, 0.0171), axis=1), name="w")
{body}
    return y""")
    after = PASS.run(before)
    inputs = seeded_inputs(before)
    assert islands(after) == {}
    assert_close(before.run(*inputs)[0], after.run(*inputs)[0], within=1e-4)


def test_a_dead_value_is_zero_and_no_crash():
    before = read("""
        def f(x: f32[1, 2]):
            x_2 = fake_quant(x, elem=u8, unit=q(0.5, 128), name="x")
            w: f32[2, 2] = const([[0.0, 0.0], [0.0, 0.0]])
            w_2 = fake_quant(w, elem=i8, unit=q(1.0), name="w")
            a = mat_mul(x_2, w_2)
            s = add(a, a)
            y = clip(s, hi=-1.0)
            return s, y
        """)
    zero, bound = PASS.run(before).run(*seeded_inputs(before))
    assert (zero.tolist(), bound.tolist()) == ([[0.0, 0.0]], [[-1.0, -1.0]])


CONCAT = """
    def f(x: f32[1, 2, 3, 3], z: f32[1, 2, 3, 3]):
        x_2 = fake_quant(x, elem=u8, unit=q(0.0078125, 128), name="x")
        z_2 = fake_quant(z, elem=u8, unit=q(0.0625, 100), name="z")
        w: f32[2, 4, 3, 3] = const(...)
        w_2 = fake_quant(w, elem=i8, unit=q((0.0234, 0.0171), axis=0), name="w")
        b: f32[2] = const([0.5, -0.25])
        c = concat((x_2, z_2), axis=1)
        {}
    """


def test_a_convolution_of_a_concat_with_two_ranges_is_split():
    before = read(CONCAT.format("y = conv(c, w_2, b, pads=(1, 1, 1, 1))\n        return y"))
    after = PASS.run(before)
    assert of(Concat, after) == []
    assert [n.name for n in after.nodes if n.op == "conv"] == ["y.part0", "y.part1"]
    assert islands(after) == {}
    inputs = seeded_inputs(before)
    assert_close(before.run(*inputs)[0], after.run(*inputs)[0], within=1e-5)


def test_a_concat_at_an_output_keeps_two_ranges_apart():
    before = read(CONCAT.format("return c"))
    after = PASS.run(before)
    (joined,) = of(Concat, after)
    assert joined.type.unit is not None
    assert joined.type.unit.scale == (0.0078125, 0.0078125, 0.0625, 0.0625)
    assert_close(
        before.run(*seeded_inputs(before))[0], after.run(*seeded_inputs(before))[0], within=0
    )


@pytest.mark.parametrize(
    "reader",
    [
        "y = max_pool(c, kernel=(2, 2), stride=(1, 1), pads=(0, 0, 0, 0), dilation=(1, 1))",
        "y = conv_transpose(c, w_3)",
        "y = conv(c, w_4, groups=2)",
        "y = sigmoid(c)",
    ],
)
def test_other_readers_of_a_concat_get_one_range(reader: str):
    weights = """w_1: f32[4, 2, 1, 1] = const(...)
        w_3 = fake_quant(w_1, elem=i8, unit=q(0.02), name="w1")
        w_4 = fake_quant(w_1, elem=i8, unit=q(0.02), name="w2")
        """
    before = read(CONCAT.format(f"{weights}{reader}\n        return y"))
    after = PASS.run(before)
    (joined,) = of(Concat, after)
    assert joined.type.elem == U8
    assert joined.type.unit is not None
    assert joined.type.unit.per_tensor
    assert islands(after) == {}
    assert_within_steps(before, after, step=joined.type.unit.scale[0], steps=4)


def test_a_relu_that_is_nothing_but_saturation_survives_the_joining_of_a_concat():
    before = read("""
        def f(x: f32[1, 2, 3, 3]):
            x_2 = fake_quant(x, elem=u8, unit=q(0.03125, 128), name="x")
            w: f32[2, 2, 1, 1] = const(...)
            w_2 = fake_quant(w, elem=i8, unit=q(0.02), name="w")
            a = conv(x_2, w_2)
            r = relu(a)
            r_2 = fake_quant(r, elem=u8, unit=q(0.0078125), name="r")
            c = concat((x_2, r_2), axis=1)
            y = sigmoid(c)
            return y
        """)
    after = PASS.run(before)
    (joined,) = of(Concat, after)
    assert isinstance(joined, Concat)
    rescaled = joined.xs[1]
    assert isinstance(rescaled, Requantize)
    assert rescaled.lo == rescaled.unit.zero_point[0] > 0
    assert_within_steps(before, after, step=0.04, steps=0.5)


def test_a_wide_and_a_narrow_part_join_in_32_bits_without_loss():
    before = read("""
        def f(x: f32[1, 4]):
            x_2 = fake_quant(x, elem=u8, unit=q(0.0625, 128), name="x")
            a = sigmoid(x_2)
            y = concat((x_2, a), axis=1)
            return y
        """)
    after = PASS.run(before)
    (joined,) = of(Concat, after)
    assert joined.type.elem == I32
    assert_close(
        before.run(*seeded_inputs(before))[0], after.run(*seeded_inputs(before))[0], within=1e-7
    )


def test_a_softmax_at_an_output_stays_in_integers():
    before = read("""
        def f(x: f32[2, 5]):
            x_2 = fake_quant(x, elem=u8, unit=q(0.0625, 128), name="x")
            y = softmax(x_2, axis=1)
            return y
        """)
    after = PASS.run(before)
    assert len(of(SoftmaxInteger, after)) == 1
    assert_within_steps(before, after, step=1e-3, steps=1)


def test_a_softmax_of_absurdly_coarse_steps_stays_float():
    graph = PASS.run(
        read("""
        def f(x: f32[2, 5]):
            x_2 = fake_quant(x, elem=u8, unit=q(1e6, 128), name="x")
            y = softmax(x_2, axis=1)
            return y
        """)
    )
    assert list(islands(graph)) == ["y"]


def test_a_table_that_is_not_finite_stays_float():
    graph = read("""
        def f(x: f32[5]):
            x_2 = fake_quant(x, elem=u8, unit=q(1.0, 128), name="x")
            a = elu(x_2, alpha=1e39)
            y = fake_quant(a, elem=u8, unit=q(1.0), name="y")
            return y
        """)
    assert islands(PASS.run(graph)) == {
        "a": "its operands stay in float, or its sum could pass 32 bits"
    }


def test_a_sum_that_could_pass_32_bits_stays_float():
    graph = read("""
        def f(x: f32[1, 140000]):
            x_2 = fake_quant(x, elem=u8, unit=q(1.0, 255), name="x")
            w: f32[140000, 1] = const(...)
            w_2 = fake_quant(w, elem=i8, unit=q(0.0001), name="w")
            y = mat_mul(x_2, w_2)
            return y
        """)
    assert list(islands(PASS.run(graph))) == ["y"]


FLOAT_ISLAND = """
    def f(x: f32[1, 4]):
        x_2 = fake_quant(x, elem=u8, unit=q(0.0625, 128), name="x")
        e = exp(x_2)
        e_2 = fake_quant(e, elem=u8, unit=q(0.0625), name="e")
        y = neg(e_2)
        return y
    """


def test_a_float_island_lies_between_a_dequantize_and_a_quantize():
    graph = PASS.run(read(FLOAT_ISLAND))
    assert islands(graph) == {"e": "exp has no integer form yet"}
    assert [n.op for n in graph.nodes if n.operands] == [
        "quantize", "dequantize", "exp", "quantize", "lut", "dequantize",
    ]  # fmt: skip


EXCLUDED = """
    def f(x: f32[1, 2]):
        x_2 = fake_quant(x, elem=u8, unit=q(0.5, 128), name="x")
        w: f32[2, 2] = const([[1.0, -0.5], [0.25, 0.5]])
        a = mat_mul(x_2, w)
        r = relu(a)
        y = fake_quant(r, elem=u8, unit=q(0.125), name="y")
        return y
    """


def test_what_is_excluded_stays_float_and_is_listed():
    recipe = Recipe(exclude=("a",))
    graph = Quantize(recipe).run(read(EXCLUDED))
    assert islands(graph, recipe) == {"a": "excluded by the user"}


def test_an_excluded_table_stays_float():
    text = FLOAT_ISLAND.replace("exp", "tanh")
    recipe = Recipe(exclude=("op:Tanh",))
    assert of(Lut, PASS.run(read(text)))[0].name == "e"
    assert islands(Quantize(recipe).run(read(text)), recipe) == {"e": "excluded by the user"}


def test_a_graph_that_was_not_calibrated_is_left_alone():
    check_unchanged("def f(x: f32[2]):\n    y = relu(x)\n    return y", PASS)


def test_a_value_that_two_read_is_quantized_once():
    graph = PASS.run(
        read("""
        def f(x: f32[1, 4]):
            x_2 = fake_quant(x, elem=u8, unit=q(0.0625, 128), name="x")
            y = tanh(x_2)
            z = sigmoid(x_2)
            return y, z, x_2
        """)
    )
    assert len(of(ToIntegers, graph)) == 1


@pytest.mark.parametrize("call", ["clip(x, lo=-1.0, hi=2.0)", "relu(x)", "clip(x, hi=-0.5)"])
def test_a_bound_on_a_real_is_not_a_float_island(call: str):
    before = read(f"""
def f(x: f32[9, 9]):
    c = {call}
    c_2 = fake_quant(c, elem=u8, unit=q(0.03125, 100), name="c")
    y = neg(c_2)
    return y""")
    after = PASS.run(before)
    assert islands(after) == {}
    assert_close(
        before.run(*seeded_inputs(before))[0], after.run(*seeded_inputs(before))[0], within=1e-7
    )
