"""Parts of a fused projection are sliced before the axis is split."""

import numpy as np
import pytest

from qcompile.ir.graph import Graph
from qcompile.ir.ops.shape import Gather, Reshape
from qcompile.ir.ops.source import Input, const
from qcompile.ir.types import f32
from qcompile.passes.hoist_slices import HoistSlices
from tests.helpers import check_rewrite, check_unchanged

X = Input(f32(2, 12), name="x")


def test_one_of_three_of_a_split_axis():
    check_rewrite(
        """
        def f(x: f32[2, 24]):
            r: f32[2, 3, 2, 4] = reshape(x)
            one: i64[1] = const([1])
            k = gather(r, one, axis=1)
            return k
        """,
        HoistSlices(),
        """
        def f(x: f32[2, 24]):
            _1: f32[2, 8] = slice(x, axes=(1,), starts=(8,), stops=(16,), steps=(1,))
            k: f32[2, 1, 2, 4] = reshape(_1)
            return k
        """,
        within=0,
    )


def test_through_a_transpose():
    check_rewrite(
        """
        def f(x: f32[2, 12]):
            r: f32[2, 3, 4] = reshape(x)
            t = transpose(r, perm=(1, 0, 2))
            v = slice(t, axes=(0,), starts=(2,), stops=(3,), steps=(1,))
            return v
        """,
        HoistSlices(),
        """
        def f(x: f32[2, 12]):
            _1: f32[2, 4] = slice(x, axes=(1,), starts=(8,), stops=(12,), steps=(1,))
            _2: f32[2, 1, 4] = reshape(_1)
            v: f32[1, 2, 4] = transpose(_2, perm=(1, 0, 2))
            return v
        """,
        within=0,
    )


def test_within_each_head():
    check_rewrite(
        """
        def f(x: f32[2, 24]):
            r: f32[2, 2, 3, 4] = reshape(x)
            k = slice(r, axes=(2,), starts=(1,), stops=(2,), steps=(1,))
            return k
        """,
        HoistSlices(),
        """
        def f(x: f32[2, 24]):
            _1: f32[2, 2, 12] = reshape(x)
            _2: f32[2, 2, 4] = slice(_1, axes=(2,), starts=(4,), stops=(8,), steps=(1,))
            k: f32[2, 2, 1, 4] = reshape(_2)
            return k
        """,
        within=0,
    )


KEPT = {
    "the innermost factor": "slice(r, axes=(2,), starts=(1,), stops=(3,), steps=(1,))",
    "every other index": "slice(r, axes=(1,), starts=(0,), stops=(3,), steps=(2,))",
}


@pytest.mark.parametrize("line", KEPT.values(), ids=KEPT.keys())
def test_leaves(line: str):
    check_unchanged(
        f"def f(x: f32[2, 12]):\n    r: f32[2, 3, 4] = reshape(x)\n    y = {line}\n    return y\n",
        HoistSlices(),
    )


def test_one_index_drops_the_axis():
    after = HoistSlices().run(
        Graph("f", (X,), (("y", Gather(Reshape(X, (2, 3, 4)), const(np.array(1)), 1)),))
    )
    assert [node.op for node in after.nodes] == ["input", "slice", "reshape", "reshape"]
    x = np.arange(24, dtype=np.float32).reshape(2, 12)
    np.testing.assert_array_equal(after.run(x)[0], x[:, 4:8])
