"""A transform reads 16 bits, so that outliers are spread before anything is rounded to 8."""

import pytest

from qcompile.coverage import coverage, macs
from qcompile.ir.graph import Graph
from qcompile.ir.ops.hadamard import Hadamard
from qcompile.ir.ops.quant import Observe
from qcompile.ir.ops.source import Const, Input
from qcompile.ir.types import f32
from qcompile.passes.quantize import Quantize
from qcompile.passes.recipe import Recipe
from qcompile.passes.specify import Specify
from tests.helpers import assert_same_meaning, check_rewrite, check_unchanged, read


def observed(graph: Graph) -> dict[str, str]:
    """The elements of observed activations by their nodes' names."""
    marks = [n for n in graph.nodes if isinstance(n, Observe) and not isinstance(n.x, Const)]
    return {mark.name: str(mark.spec.elem) for mark in marks}


BEHIND_A_SUM = """
    def f(x: f32[1, 4, 3, 3]):
        v: f32[8, 4, 1, 1] = const(...)
        w: f32[2, 8, 1, 1] = const(...)
        a = conv(x, v)
        r = relu(a)
        h = hadamard(r, axis=1, size=8)
        y = conv(h, w)
        return y
"""
SHARED = """
    def f(x: f32[1, 8, 3, 3]):
        w: f32[8, 8, 1, 1] = const(...)
        v: f32[8, 8, 1, 1] = const(...)
        h = hadamard(x, axis=1, size=8)
        a = conv(h, w)
        b = conv(x, v)
        y = add(a, b)
        return y
"""
BEHIND_A_MOVE = """
    def f(x: f32[1, 8, 4, 4]):
        w: f32[8, 8, 1, 1] = const(...)
        m = max_pool(x, kernel=(2, 2), stride=(2, 2), pads=(0, 0, 0, 0), dilation=(1, 1))
        h = hadamard(m, axis=1, size=4)
        y = conv(h, w)
        return y
"""
IN_FLOAT = """
    def f(x: f32[1, 8, 4, 4]):
        h = hadamard(x, axis=1, size=4)
        y = exp(h)
        return y
"""


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (BEHIND_A_SUM, {"x.range": "u8", "r.range": "i16", "h.range": "u8"}),
        (SHARED, {"x.range": "i16", "x.u8.range": "u8", "h.range": "u8"}),
        (BEHIND_A_MOVE, {"x.range": "i16", "h.range": "u8"}),
        (IN_FLOAT, {}),
    ],
    ids=["behind a sum", "read in 8 bits, too", "behind a move", "before float operations"],
)
def test_what_is_observed(text, wanted):
    assert observed(Specify().run(read(text))) == wanted


def test_engines_that_fuse_pairs_get_no_16_bits():
    found = observed(Specify(Recipe(wide_sums=False)).run(read(BEHIND_A_SUM)))
    assert found == {"x.range": "u8", "h.range": "u8"}


def test_a_transform_of_integers_is_a_sum_in_32_bits():
    check_rewrite(
        """
        def f(x: f32[1, 8]):
            s: f32[1, 8] = fake_quant(x, elem=i16, unit=q(0.25, -32768))
            h: f32[1, 8] = hadamard(s, axis=1, size=4, seed=1)
            t: f32[1, 8] = fake_quant(h, elem=u8, unit=q(0.5, 128))
            return t
        """,
        Quantize(),
        """
        def f(x: f32[1, 8]):
            s: i16[1, 8] @ q(0.25, -32768) = quantize(x)
            h: i32[1, 8] @ q(0.125) = hadamard(s, axis=1, size=4, seed=1)
            t: u8[1, 8] @ q(0.5, 128) = requantize(h, numbers=multipliers((1,), 2), lo=0, hi=255)
            t_2: f32[1, 8] = dequantize(t, name="t")
            return {"t": t_2}
        """,
        within=0.51,  # a tie goes up, and to even before
    )


def test_a_sum_before_a_transform_keeps_its_range():
    before = read("""
        def f(x: f32[1, 16]):
            s: f32[1, 16] = fake_quant(x, elem=i8, unit=q(0.0625, 0))
            w: f32[16, 16] = const(...)
            u: f32[16, 16] = fake_quant(w, elem=i8, unit=q(0.03125, 0))
            p: f32[1, 16] = mat_mul(s, u)
            a: f32[1, 16] = add(p, p)
            r: f32[1, 16] = fake_quant(a, elem=i16, unit=q(0.001, 0))
            h: f32[1, 16] = hadamard(r, axis=1, size=16)
            return h
    """)
    assert_same_meaning(before, Quantize().run(before), within=1e-4)


def test_a_sum_that_could_pass_32_bits_stays_float():
    size = 1 << 16
    before = read(f"""
        def f(x: f32[1, {size}]):
            s: f32[1, {size}] = fake_quant(x, elem=i16, unit=q(0.25, -32768))
            h: f32[1, {size}] = hadamard(s, axis=1, size={size})
            return h
    """)
    found = Quantize().run(before)
    assert [n.type.is_quantized for n in found.nodes if isinstance(n, Hadamard)] == [False]


def test_a_transform_without_marks_is_left_alone():
    check_unchanged(
        """
        def f(x: f32[1, 8]):
            h: f32[1, 8] = hadamard(x, axis=1, size=8)
            return h
        """,
        Quantize(),
    )


@pytest.mark.parametrize(("size", "each"), [(64, 6), (16, 4), (12, 12), (48, 2 + 12)])
def test_each_addition_counts_as_one(size, each):
    node = Hadamard(Input(f32(2, 192, 5), name="x"), 1, size)
    assert macs(node) == 2 * 192 * 5 * each


def test_a_transform_in_integers_is_covered():
    whole = Quantize().run(
        read("""
            def f(x: f32[1, 8]):
                s: f32[1, 8] = fake_quant(x, elem=u8, unit=q(0.25, 3))
                h: f32[1, 8] = hadamard(s, axis=1, size=8)
                return h
        """)
    )
    found = coverage(whole, Recipe())
    assert (found.ops_integer, found.macs_integer, dict(found.islands)) == (1, 24, {})
