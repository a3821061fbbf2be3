"""A norm's scale goes into what reads it, wherever all readers are linear."""

import numpy as np
import pytest

from qcompile.passes.fold_norm_scales import FoldNormScales
from tests.helpers import check_rewrite, check_unchanged, read

READ_BY_TWO = """
    def f(x: f32[2, 4]):
        g: f32[4] = const([2.0, -1.0, 0.5, 4.0])
        n = rms_norm(x, g, axis=1)
        a: f32[4, 3] = const(...)
        b: f32[4, 2] = const(...)
        y = mat_mul(n, a)
        z = mat_mul(n, b)
        return y, z
    """


def test_into_all_readers_and_leaves_ones():
    check_rewrite(
        READ_BY_TWO,
        FoldNormScales(),
        """
        def f(x: f32[2, 4]):
            g: f32[4] = const([1.0, 1.0, 1.0, 1.0])
            n: f32[2, 4] = rms_norm(x, g, axis=1)
            a: f32[4, 3] = const(...)
            y: f32[2, 3] = mat_mul(n, a)
            b: f32[4, 2] = const(...)
            z: f32[2, 2] = mat_mul(n, b)
            return y, z
        """,
    )


def test_the_rows_of_the_weight_are_scaled():
    before = read(READ_BY_TWO)
    after = FoldNormScales().run(before)
    old, new = (graph.named("a").evaluate() for graph in (before, after))
    np.testing.assert_array_equal(new, old * np.array([[2.0], [-1.0], [0.5], [4.0]]))


def test_through_moves_and_a_split():
    check_rewrite(
        """
        def f(x: f32[2, 4]):
            g: f32[4] = const([2.0, -1.0, 0.5, 4.0])
            n = rms_norm(x, g, axis=1)
            t = transpose(n, perm=(1, 0))
            r: f32[4, 2, 1] = reshape(t)
            a: f32[1, 3, 4] = const(...)
            s: f32[4, 2] = reshape(r)
            u = transpose(s, perm=(1, 0))
            w: f32[4, 3] = const(...)
            y = mat_mul(u, w)
            return y
        """.replace("            a: f32[1, 3, 4] = const(...)\n", ""),
        FoldNormScales(),
        """
        def f(x: f32[2, 4]):
            g: f32[4] = const([1.0, 1.0, 1.0, 1.0])
            n: f32[2, 4] = rms_norm(x, g, axis=1)
            t: f32[4, 2] = transpose(n, perm=(1, 0))
            r: f32[4, 2, 1] = reshape(t)
            s: f32[4, 2] = reshape(r)
            u: f32[2, 4] = transpose(s, perm=(1, 0))
            w: f32[4, 3] = const(...)
            y: f32[2, 3] = mat_mul(u, w)
            return y
        """,
    )


NORM = """
    def f(x: f32[2, 4]):
        g: f32[4] = const([2.0, -1.0, 0.5, 4.0])
        n = rms_norm(x, g, axis=1)
        w: f32[4, 3] = const(...)
"""
KEPT = {
    "a reader that is not linear": "r = relu(n)\n        y = mat_mul(r, w)\n        return y",
    "a reader beside, which is an output": "y = mat_mul(n, w)\n        return y, n",
    "another norm": "m = rms_norm(n, axis=1)\n        y = mat_mul(m, w)\n        return y",
    "the stream itself": "s = add(x, n)\n        y = mat_mul(s, w)\n        return y",
}


@pytest.mark.parametrize("body", KEPT.values(), ids=KEPT.keys())
def test_stays_in_front_of(body: str):
    check_unchanged(NORM + "        " + body + "\n", FoldNormScales())


def test_a_scale_with_zeros_stays_where_a_constant_is_added():
    check_unchanged(
        """
        def f(x: f32[2, 4]):
            g: f32[4] = const([2.0, 0.0, 0.5, 4.0])
            n = rms_norm(x, g, axis=1)
            c: f32[4] = const([1.0, 2.0, 3.0, 4.0])
            s = add(n, c)
            w: f32[4, 3] = const(...)
            y = mat_mul(s, w)
            return y
        """,
        FoldNormScales(),
    )
