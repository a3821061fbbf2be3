"""Opened clips: closed where all channels have one bound, left where they have their own."""

import pytest

from qcompile.passes.close_clips import CloseClips
from tests.helpers import check_rewrite, check_unchanged

OPENED = """
    def f(x: f32[1, 2, 3, 3]):
        r: f32[1, 2, 3, 3] = relu(x)
        caps: f32[2, 1, 1] = const([[[%s]], [[%s]]])
        y: f32[1, 2, 3, 3] = minimum(r, caps)
        return y
    """
CLOSED = """
    def f(x: f32[1, 2, 3, 3]):
        y: f32[1, 2, 3, 3] = clip(x, lo=0.0, hi=6.0)
        return y
    """
BARE = """
    def f(x: f32[1, 2, 3, 3]):
        caps: f32[2, 1, 1] = const([[[6.0]], [[6.0]]])
        y: f32[1, 2, 3, 3] = minimum(x, caps)
        return y
    """
CLOSED_BARE = """
    def f(x: f32[1, 2, 3, 3]):
        y: f32[1, 2, 3, 3] = clip(x, hi=6.0)
        return y
    """


@pytest.mark.parametrize(
    ("before", "after"), [(OPENED % ("6.0", "6.0"), CLOSED), (BARE, CLOSED_BARE)]
)
def test_a_bound_that_nobody_used_is_closed(before: str, after: str):
    check_rewrite(before, CloseClips(), after)


def test_a_bound_for_each_channel_stays():
    check_unchanged(OPENED % ("6.0", "3.0"), CloseClips())
