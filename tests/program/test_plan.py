"""Buffers in one arena: those alive together never overlap, those that are not share memory."""

from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st

from qcompile.program.plan import aligned, lifetimes, place, plan
from qcompile.program.program import ALIGNMENT, Buffer, Call, Lifetime


def chain(*sizes: int) -> list[Call[str]]:
    """Each call reads the buffer before its own."""
    buffers = [Buffer(f"b{i}", size) for i, size in enumerate(sizes)]
    return [Call("k", (a,), (b,)) for a, b in pairwise(buffers)]


def test_a_chain_needs_two_buffers():
    assert plan(chain(*[1000] * 9)).size == 2 * aligned(1000)


def test_a_buffer_read_late_is_kept():
    first, last = Buffer("first", 64), Buffer("last", 64)
    calls = [*chain(64, 64, 64), Call("k", (first,), (last,))]
    calls.insert(0, Call("k", (), (first,)))
    assert lifetimes(calls)[first] == Lifetime(0, 3)


def test_what_is_kept_lives_to_the_end():
    calls = chain(64, 64, 64)
    kept = calls[0].reads[0]
    assert lifetimes(calls, kept=[kept])[kept] == Lifetime(0, len(calls))


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(0, 9), st.integers(0, 9)), max_size=12))
def test_no_two_live_buffers_overlap(rows: list[tuple[int, int, int]]):
    alive = {
        Buffer(f"b{i}", size): Lifetime(min(a, b), max(a, b)) for i, (size, a, b) in enumerate(rows)
    }
    offsets = place(alive)
    for x, y in combinations(alive, 2):
        apart = offsets[x] + x.size <= offsets[y] or offsets[y] + y.size <= offsets[x]
        assert apart or not alive[x].meets(alive[y])
    assert all(offset % ALIGNMENT == 0 for offset in offsets.values())
