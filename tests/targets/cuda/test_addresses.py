"""Addresses as text, and what is promised of their alignment, against all addresses there are."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcompile.targets.cuda.addresses import Places, address, is_wide, vector, whole_words
from qcompile.targets.cuda.formats import BITS
from qcompile.targets.loops import expr as e
from qcompile.targets.loops.nest import Nest, Table, View

STEPS = st.sampled_from([0, 1, 2, 3, 4, 8, 12, 16, 24, 32, 64, -8, -16])


@st.composite
def nests(draw: st.DrawFn) -> tuple[Nest, View]:
    """Two output loops, blocks of lanes, a reduced loop; one view of them."""
    lanes = draw(st.sampled_from([2, 8, 16, 32]))
    outer = (draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 70)))
    inner = (draw(st.integers(1, 3)),)
    elem = draw(st.sampled_from(["u8", "i16", "i32", "u4", "i64"]))
    steps = (draw(STEPS), draw(STEPS), lanes, draw(STEPS))
    view = View(elem, steps, 1, draw(st.integers(0, 64)) * 4)
    return Nest(outer, inner, (view,), view, None, "", None, e.imm(0), lanes), view


def places(nest: Nest) -> list[tuple[int, ...]]:
    return list(product(*(range(d) for d in (*nest.extents, *nest.inner))))


def exact(view: View, place: tuple[int, ...]) -> int:
    steps = (s for s in view.steps if isinstance(s, int))
    return view.offset + sum(s * i for s, i in zip(steps, place, strict=True))


@given(nests(), st.sampled_from([1, 2, 4, 8, 16, 256]))
def test_every_block_begins_where_a_vector_may(made: tuple[Nest, View], alignment: int):
    nest, view = made
    size = vector(nest, view, alignment)
    assert size in (0, 1, 2, 4, 8, 16)
    assert size <= alignment
    bits = BITS[view.elem]
    assert all(exact(view, p) * bits % (8 * max(size, 1)) == 0 for p in places(nest) if size)
    assert nest.lanes * bits % (8 * max(size, 1)) == 0


@given(nests())
def test_the_text_is_the_address(made: tuple[Nest, View]):
    nest, view = made
    names = ("a", "b", "block", "r")
    used = [n if d > 1 else "0" for n, d in zip(names, (*nest.extents, *nest.inner), strict=True)]
    text = address(nest, view, Places(tuple(used[:3]), tuple(used[3:])))
    for place in places(nest):
        scope: dict[str, object] = dict(zip(names, place, strict=True))
        assert eval(text, {}, scope) == exact(view, place)


def of_lanes(view: View, *, outer: tuple[int, ...] = (4, 32), lanes: int = 8) -> Nest:
    return Nest(outer, (), (view,), view, None, "", None, e.imm(0), lanes)


@pytest.mark.parametrize(
    ("view", "size"),
    [
        (View("u8", (64, 8), 1), 8),
        (View("u8", (64, 8), 1, 4), 4),
        (View("u8", (64, 8), 1, 2), 0),
        (View("u8", (64, 16), 2), 0),
        (View("i32", (64, 8), 1), 16),
        (View("u4", (64, 8), 1), 4),
        (View("u4", (64, 8), 1, 4), 0),
        (View("u8", (Table(1, 16), 8), 1), 8),
        (View("u8", (Table(1), 8), 1), 0),
    ],
)
def test_words_that_are_read_at_once(view: View, size: int):
    assert whole_words(of_lanes(view), view, 16) == size


def test_a_run_is_found_from_its_first_lane():
    view = View("i32", (64, 8), 1, 5)
    assert address(of_lanes(view), view, Places(("m", "n / 8"), (), "n")) == "m * 64 + n + 5"


def test_a_table_is_read_at_its_loop():
    view = View("u8", (Table(3), 8), 1)
    assert address(of_lanes(view), view, Places(("m", "block"), ())) == "v3[m] + block * 8"


def test_addresses_that_32_bits_do_not_hold_are_wide():
    view = View("u8", (1 << 30, 8), 1)
    assert not is_wide(of_lanes(view, outer=(2, 32)), view)
    assert is_wide(of_lanes(view, outer=(3, 32)), view)
