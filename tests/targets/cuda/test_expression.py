"""Which instructions an expression becomes, by what its bounds prove."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcompile.targets.cuda.expression import Lane, Sources
from qcompile.targets.cuda.holding import stored
from qcompile.targets.cuda.text import literal
from qcompile.targets.loops import expr as e

SUM = e.Acc(-(1 << 20), 1 << 20, "i32")
BYTE = e.load(0, "i32", lo=0, hi=255)
REAL = e.load(1, "f32")


def lane(*roots: e.Expr, apart: bool = False) -> Lane:
    return Lane(
        Sources(
            load=lambda view: f"x{view}[i]",
            element=lambda view, index: f"v{view}[{index}]",
            view_elem=lambda view: ("u8", "f32", "i32", "i64")[view],
            acc="acc[i]",
            apart=apart,
        ),
        roots,
    )


def text(x: e.Expr, *, apart: bool = False) -> str:
    return lane(x, apart=apart).result(x)


def rescale(x: e.Expr, m: int, shift: int, plus: int, lo: int, hi: int) -> e.Rescale:
    return e.Rescale(lo, hi, "i32", x, e.imm(m), shift, plus)


def test_a_rescale_of_few_bits_stays_in_a_word():
    assert text(rescale(BYTE, 300, 8, 5, 0, 1000)) == "(x0[i] * 300 + 1408) >> 8"


def test_a_rescale_by_less_than_a_half_is_the_high_word_of_a_product():
    high = rescale(SUM, 100, 8, 5, -(1 << 30), 1 << 30)
    factor, addend = 100 << 24, (128 + (5 << 8)) << 24
    assert text(high) == f"qc::rescale<32>(acc[i], {factor}, {addend}ll)"


def test_a_rescale_takes_64_bits_and_no_clip_that_is_proven():
    scaled = rescale(SUM, 1 << 30, 40, 3, -2000, 2000)
    assert text(scaled) == f"qc::rescale<40>(acc[i], 1073741824, {(1 << 39) + (3 << 40)}ll)"


def test_a_rescale_is_clipped_on_the_side_that_is_not_proven():
    scaled = rescale(SUM, 1 << 30, 40, 0, -2000, 100)
    assert text(scaled) == "min(qc::rescale<40>(acc[i], 1073741824, 549755813888ll), 100)"


def test_a_rescale_that_may_not_fit_is_clipped_in_64_bits():
    wide = rescale(SUM, (1 << 31) - 1, 3, 0, -5, 5)
    assert text(wide) == "qc::rescale_wide<3>(acc[i], 2147483647, 0, (-5), 5)"


def test_what_packing_does_by_itself_is_left_to_it():
    scaled = rescale(SUM, 1 << 30, 31, 7, 0, 255)
    assert "min" not in text(stored(scaled, 0, 255))
    assert "min" in text(stored(scaled, 0, 127))
    assert text(stored(e.clip(SUM, 0, 15), 0, 15)) == "acc[i]"


def test_a_value_held_before_a_rescale_is_held_by_packing_instead():
    """f(clip(v, a, b)) = clip(f(v), f(a), f(b))."""
    held = rescale(e.clip(SUM, -1000, 1000), 1 << 30, 33, 0, -125, 125)
    free = stored(held, -125, 125)
    assert "min" not in text(free)
    assert "1000" not in text(free)


@given(
    st.integers(-(1 << 20), 1 << 20), st.integers(0, 1 << 31), st.integers(0, 40),
    st.integers(-300, 300), st.integers(-5000, 5000), st.integers(-5000, 5000),
)  # fmt: skip
def test_clips_that_are_moved_give_the_same_value(
    value: int, m: int, shift: int, plus: int, low: int, high: int
):
    low, high = sorted((low, high))
    held = rescale(e.clip(SUM, low, high), min(m, (1 << 31) - 1), shift, plus, -100, 155)
    assert scaled(stored(held, -128, 127), value) == scaled(held, value)


@given(
    st.integers(-(1 << 20), 1 << 20), st.integers(0, 1 << 31), st.integers(0, 40),
    st.integers(0, 1 << 12), st.integers(0, 12), st.integers(-300, 300),
)  # fmt: skip
def test_clips_between_two_rescales_are_moved_to_the_end(
    value: int, m: int, shift: int, again: int, down: int, plus: int
):
    first = rescale(SUM, min(m, (1 << 31) - 1), shift, plus, 0, 255)
    both = rescale(first, again, down, 0, 0, 15)
    assert min(max(scaled(stored(both, 0, 15), value), 0), 15) == scaled(both, value)


def scaled(x: e.Expr, acc: int) -> int:
    """The value by exact fractions."""
    match x:
        case e.Acc():
            return acc
        case e.Imm(value=value):
            return int(value)
        case e.Binary(op=op, a=a, b=b):
            return {"min": min, "max": max}[op](scaled(a, acc), scaled(b, acc))
        case e.Rescale(m=e.Imm(value=m)):
            exact = Fraction(scaled(x.x, acc) * int(m), 1 << x.shift)
            half = Fraction(1, 2) if x.shift else Fraction(0)
            return min(max((exact + half).__floor__() + x.plus, x.lo), x.hi)
        case _:
            raise AssertionError(x)


def test_quotients_by_powers_of_two_are_products():
    assert "__fmul_rn(x1[i], 8.0" in text(e.Snap(0, 255, "i32", REAL, e.imm(0.125, "f32"), 0))
    assert "__fdiv_rn(x1[i], " in text(e.Snap(0, 255, "i32", REAL, e.imm(0.1, "f32"), 0))


def test_what_is_used_twice_is_computed_once():
    inner = e.mul(e.add(SUM, e.imm(5)), e.imm(3))
    again = e.mul(e.add(SUM, e.imm(5)), e.imm(3))
    found = lane(e.sub(e.mul(inner, again), inner))
    result = found.result(e.sub(e.mul(inner, again), inner))
    assert found.lines == ["const int t0 = (acc[i] + 5) * 3;"]
    assert result == "(t0 * t0) - t0"


def test_an_index_is_held_to_its_table_only_where_lanes_hold_nothing():
    index = rescale(SUM, 1 << 30, 36, 0, 3, 10)
    looked = e.Lookup(0, 9, "i32", index, 2, 3)
    assert "v2[max(3, min(10, " in text(looked, apart=True)
    assert text(e.Lookup(0, 9, "i32", BYTE, 2, 0), apart=True) == "v2[x0[i]]"


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_real_is_written_exactly(value: float):
    written = literal(value, "f32").strip("()")
    assert written.endswith("f")
    assert np.float32(written[:-1]) == np.float32(value)


@pytest.mark.parametrize(
    ("value", "elem", "written"),
    [
        (-(1 << 31), "i32", "(-2147483647 - 1)"),
        (-7, "i32", "(-7)"),
        (7, "i64", "7ll"),
        (float("inf"), "f32", "__uint_as_float(0x7f800000u)"),
    ],
)
def test_literals(value: float, elem: str, written: str):
    assert literal(value, elem) == written
