"""Borders go into the windows that would see the same."""
# ruff: noqa: E501  the texts stand as they are printed

import pytest

from qcompile.passes.fuse_padding import FusePadding
from tests.helpers import check_rewrite, check_unchanged

PASS = FusePadding()
X = "def f(x: f32[1, 2, 4, 4]):\n    w: f32[3, 2, 3, 3] = const(...)\n"
BORDER = "pads=(0, 0, 1, 2, 0, 0, 3, 0)"
POOL = "kernel=(2, 2), stride=(2, 2), dilation=(1, 1)"

FIRES = {
    "into a convolution": (
        X + f"    p = pad(x, {BORDER})\n    y = conv(p, w)\n    return y",
        """
        def f(x: f32[1, 2, 4, 4]):
            w: f32[3, 2, 3, 3] = const(...)
            y: f32[1, 3, 6, 4] = conv(x, w, pads=(1, 2, 3, 0))
            return y
        """,
    ),
    "into a convolution's own border": (
        X + f"    p = pad(x, {BORDER})\n    y = conv(p, w, pads=(1, 1, 1, 1))\n    return y",
        """
        def f(x: f32[1, 2, 4, 4]):
            w: f32[3, 2, 3, 3] = const(...)
            y: f32[1, 3, 8, 6] = conv(x, w, pads=(2, 3, 4, 1))
            return y
        """,
    ),
    "two borders": (
        X + f"    p = pad(x, {BORDER})\n    q = pad(p, {BORDER})\n    y = conv(q, w)\n    return y",
        """
        def f(x: f32[1, 2, 4, 4]):
            w: f32[3, 2, 3, 3] = const(...)
            y: f32[1, 3, 10, 6] = conv(x, w, pads=(2, 4, 6, 0))
            return y
        """,
    ),
    "into an average, which then counts it": (
        X
        + f"    p = pad(x, {BORDER})\n    y = average_pool(p, pads=(0, 0, 0, 0), {POOL})\n    return y",
        """
        def f(x: f32[1, 2, 4, 4]):
            y: f32[1, 2, 4, 3] = average_pool(x, kernel=(2, 2), stride=(2, 2), pads=(1, 2, 3, 0), dilation=(1, 1), count_border=True)
            return y
        """,
    ),
    "into an average that counts its own": (
        X
        + f"    p = pad(x, {BORDER})\n    y = average_pool(p, pads=(1, 1, 1, 1), count_border=True, {POOL})\n    return y",
        """
        def f(x: f32[1, 2, 4, 4]):
            y: f32[1, 2, 5, 4] = average_pool(x, kernel=(2, 2), stride=(2, 2), pads=(2, 3, 4, 1), dilation=(1, 1), count_border=True)
            return y
        """,
    ),
    "into a max pool of what is never negative": (
        X
        + f"    r = relu(x)\n    p = pad(r, pads=(0, 0, 1, 1, 0, 0, 0, 1))\n    y = max_pool(p, pads=(0, 0, 0, 0), {POOL})\n    return y",
        """
        def f(x: f32[1, 2, 4, 4]):
            r: f32[1, 2, 4, 4] = relu(x)
            y: f32[1, 2, 2, 3] = max_pool(r, kernel=(2, 2), stride=(2, 2), pads=(1, 1, 0, 1), dilation=(1, 1))
            return y
        """,
    ),
    "into a max pool of what is clipped at 0": (
        X
        + f"    r = clip(x, lo=0.0, hi=6.0)\n    p = pad(r, pads=(0, 0, 1, 1, 0, 0, 0, 1))\n    y = max_pool(p, pads=(0, 0, 0, 0), {POOL})\n    return y",
        """
        def f(x: f32[1, 2, 4, 4]):
            r: f32[1, 2, 4, 4] = clip(x, lo=0.0, hi=6.0)
            y: f32[1, 2, 2, 3] = max_pool(r, kernel=(2, 2), stride=(2, 2), pads=(1, 1, 0, 1), dilation=(1, 1))
            return y
        """,
    ),
}


@pytest.mark.parametrize(("before", "after"), FIRES.values(), ids=FIRES.keys())
def test_fuses(before: str, after: str):
    check_rewrite(before, PASS, after)


STAYS = {
    "a border that is not zero": f"    p = pad(x, {BORDER}, value=1.0)\n    y = conv(p, w)\n",
    "a border that repeats x": f'    p = pad(x, {BORDER}, mode="edge")\n    y = conv(p, w)\n',
    "a border of channels": "    p = pad(x, pads=(0, 1, 1, 2, 0, -1, 3, 0))\n    y = conv(p, w)\n",
    "a border that cuts": "    p = pad(x, pads=(0, 0, 1, -1, 0, 0, 3, 0))\n    y = conv(p, w)\n",
    "an average that does not count its own": f"    p = pad(x, {BORDER})\n    y = average_pool(p, pads=(1, 1, 1, 1), {POOL})\n",
    "an average with windows that hang over": f"    p = pad(x, {BORDER})\n    y = average_pool(p, pads=(0, 0, 0, 0), ceil=True, {POOL})\n",
    "a max pool of what may be negative": f"    p = pad(x, pads=(0, 0, 1, 1, 0, 0, 0, 1))\n    y = max_pool(p, pads=(0, 0, 0, 0), {POOL})\n",
    "a max pool of a clip that may be negative": f"    r = clip(x, lo=-1.0)\n    p = pad(r, pads=(0, 0, 1, 1, 0, 0, 0, 1))\n    y = max_pool(p, pads=(0, 0, 0, 0), {POOL})\n",
    "a max pool with a window wholly in the border": f"    r = relu(x)\n    p = pad(r, {BORDER})\n    y = max_pool(p, pads=(0, 0, 0, 0), {POOL})\n",
    "a max pool with windows that hang over": f"    r = relu(x)\n    p = pad(r, pads=(0, 0, 1, 1, 0, 0, 0, 1))\n    y = max_pool(p, pads=(0, 0, 0, 0), ceil=True, {POOL})\n",
}


@pytest.mark.parametrize("body", STAYS.values(), ids=STAYS.keys())
def test_stays(body: str):
    check_unchanged(f"{X}{body}    return y", PASS)


def test_other_readers_keep_the_border():
    check_rewrite(
        X + f"    p = pad(x, {BORDER})\n    y = conv(p, w)\n    return y, p",
        PASS,
        """
        def f(x: f32[1, 2, 4, 4]):
            w: f32[3, 2, 3, 3] = const(...)
            y: f32[1, 3, 6, 4] = conv(x, w, pads=(1, 2, 3, 0))
            p: f32[1, 2, 8, 6] = pad(x, pads=(0, 0, 1, 2, 0, 0, 3, 0))
            return y, p
        """,
    )
