"""Batchnorms go backwards into a contraction, else forwards, else become depthwise."""

from zlib import crc32

import numpy as np
import pytest

from qcompile.ir.ops.linear import Conv
from qcompile.ir.types import Array, f32
from qcompile.passes.fold_batchnorm import FoldBatchNorm
from qcompile.passes.invariants import FUSED
from tests.helpers import (
    assert_same_meaning,
    check_rewrite,
    check_unchanged,
    read,
    seeded_array,
    value,
)

NORM = """\
    gamma: f32[2] = const([2.0, 0.5])
    beta: f32[2] = const([1.0, -1.0])
    mean: f32[2] = const([0.5, -0.5])
    var: f32[2] = const([1.0, 4.0])
"""
POSITIVE_THEN_NEGATIVE = NORM.replace("[2.0, 0.5]", "[2.0, -0.5]")
WITHOUT_SHIFT = NORM.replace("[1.0, -1.0]", "[0.0, 0.0]").replace("[0.5, -0.5]", "[0.0, 0.0]")


def network(body: str, *, x: str = "f32[1, 2, 5, 5]", norm: str = NORM) -> str:
    return f"def f(x: {x}):\n{norm}{body}"


BACKWARDS = {
    "a convolution": (
        network("""\
    w: f32[2, 2, 3, 3] = const(...)
    c = conv(x, w, pads=(1, 1, 1, 1))
    n = batch_norm(c, gamma, beta, mean, var)
    return n
"""),
        """
        def f(x: f32[1, 2, 5, 5]):
            w: f32[2, 2, 3, 3] = const(...)
            c_bias: f32[2] = const(..., name="c.bias")
            n: f32[1, 2, 5, 5] = conv(x, w, c_bias, pads=(1, 1, 1, 1))
            return n
        """,
    ),
    "a grouped convolution with a bias": (
        network("""\
    w: f32[2, 1, 3, 3] = const(...)
    b: f32[2] = const([0.25, -4.0])
    c = conv(x, w, b, stride=(2, 2), groups=2)
    n = batch_norm(c, gamma, beta, mean, var, eps=0.1)
    return n
"""),
        """
        def f(x: f32[1, 2, 5, 5]):
            w: f32[2, 1, 3, 3] = const(...)
            c_bias: f32[2] = const(..., name="c.bias")
            n: f32[1, 2, 2, 2] = conv(x, w, c_bias, stride=(2, 2), groups=2)
            return n
        """,
    ),
    "a transposed convolution": (
        network("""\
    w: f32[2, 2, 3, 2] = const(...)
    c = conv_transpose(x, w, stride=(2, 2))
    n = batch_norm(c, gamma, beta, mean, var)
    return n
"""),
        """
        def f(x: f32[1, 2, 5, 5]):
            w: f32[2, 2, 3, 2] = const(...)
            c_bias: f32[2] = const(..., name="c.bias")
            n: f32[1, 2, 11, 10] = conv_transpose(x, w, c_bias, stride=(2, 2))
            return n
        """,
    ),
    "a matrix product": (
        network(
            """\
    w: f32[4, 2] = const(...)
    b: f32[2] = const([0.25, -4.0])
    c = mat_mul(x, w, b)
    n = batch_norm(c, gamma, beta, mean, var)
    return n
""",
            x="f32[3, 4]",
        ),
        """
        def f(x: f32[3, 4]):
            w: f32[4, 2] = const(...)
            c_bias: f32[2] = const(..., name="c.bias")
            n: f32[3, 2] = mat_mul(x, w, c_bias)
            return n
        """,
    ),
}


@pytest.mark.parametrize(("before", "after"), BACKWARDS.values(), ids=BACKWARDS.keys())
def test_folds_into_the_contraction_before_it(before: str, after: str):
    check_rewrite(before, FoldBatchNorm(), after)


def test_the_weights_are_scaled_and_the_bias_shifted_by_the_formula():
    graph = FoldBatchNorm().run(
        read(
            network("""\
    w: f32[2, 2, 1, 1] = const([[[[1.0]], [[3.0]]], [[[2.0]], [[-1.0]]]])
    b: f32[2] = const([1.5, 0.5])
    c = conv(x, w, b)
    n = batch_norm(c, gamma, beta, mean, var, eps=0.0)
    return n
""")
        )
    )
    weight, bias = (c.array for c in graph.constants)
    np.testing.assert_array_equal(weight.reshape(2, 2), [[2.0, 6.0], [0.5, -0.25]])
    np.testing.assert_array_equal(bias, [3.0, -0.75])


READ_TWICE = network("""\
    w: f32[2, 2, 1, 1] = const(...)
    c = conv(x, w)
    n = batch_norm(c, gamma, beta, mean, var)
    return n, c
""")
GROUPED_TRANSPOSE = network("""\
    w: f32[2, 1, 3, 3] = const(...)
    c = conv_transpose(x, w, groups=2)
    n = batch_norm(c, gamma, beta, mean, var)
    return n
""")
BEHIND_RELU = network("""\
    r = relu(x)
    n = batch_norm(r, gamma, beta, mean, var)
    return n
""")


@pytest.mark.parametrize("text", [READ_TWICE, GROUPED_TRANSPOSE, BEHIND_RELU])
def test_what_folds_nowhere_becomes_a_depthwise_convolution(text: str):
    before = read(text)
    after = FoldBatchNorm().run(before)
    FUSED.check(after, where="after folding")
    assert_same_meaning(before, after)
    depthwise = after.named("n")
    assert isinstance(depthwise, Conv)
    assert (depthwise.groups, depthwise.w.type.shape) == (2, (2, 1, 1, 1))


UNKNOWN_STATISTICS = """
    def f(x: f32[1, 2, 5, 5], mean: f32[2]):
        gamma: f32[2] = const([2.0, 0.5])
        beta: f32[2] = const([1.0, -1.0])
        var: f32[2] = const([1.0, 4.0])
        w: f32[2, 2, 1, 1] = const(...)
        c = conv(x, w)
        n = batch_norm(c, gamma, beta, mean, var)
        d = conv(n, w)
        return d
    """
OF_RANK_TWO = network("    n = batch_norm(x, gamma, beta, mean, var)\n    return n", x="f32[3, 2]")


@pytest.mark.parametrize("text", [UNKNOWN_STATISTICS, OF_RANK_TWO])
def test_stays(text: str):
    check_unchanged(text, FoldBatchNorm())


FORWARDS = {
    "behind a relu": (
        network("""\
    w: f32[4, 2, 3, 3] = const(...)
    b: f32[4] = const(...)
    r = relu(x)
    n = batch_norm(r, gamma, beta, mean, var)
    c = conv(n, w, b, stride=(2, 2))
    return c
"""),
        """
        def f(x: f32[1, 2, 5, 5]):
            r: f32[1, 2, 5, 5] = relu(x)
            w: f32[4, 2, 3, 3] = const(...)
            c_bias: f32[4] = const(..., name="c.bias")
            c: f32[1, 4, 2, 2] = conv(r, w, c_bias, stride=(2, 2))
            return c
        """,
    ),
    "into a grouped convolution": (
        network("""\
    w: f32[4, 1, 3, 3] = const(...)
    n = batch_norm(x, gamma, beta, mean, var)
    c = conv(n, w, groups=2)
    return c
"""),
        """
        def f(x: f32[1, 2, 5, 5]):
            w: f32[4, 1, 3, 3] = const(...)
            c_bias: f32[4] = const(..., name="c.bias")
            c: f32[1, 4, 3, 3] = conv(x, w, c_bias, groups=2)
            return c
        """,
    ),
    "through a max pool when every scale is positive": (
        network("""\
    w: f32[4, 2, 1, 1] = const(...)
    n = batch_norm(x, gamma, beta, mean, var)
    p = max_pool(n, kernel=(2, 2), stride=(2, 2), pads=(0, 0, 0, 0), dilation=(1, 1))
    c = conv(p, w)
    return c
"""),
        """
        def f(x: f32[1, 2, 5, 5]):
            p: f32[1, 2, 2, 2] = max_pool(x, kernel=(2, 2), stride=(2, 2), pads=(0, 0, 0, 0), dilation=(1, 1))
            w: f32[4, 2, 1, 1] = const(...)
            c_bias: f32[4] = const(..., name="c.bias")
            c: f32[1, 4, 2, 2] = conv(p, w, c_bias)
            return c
        """,  # noqa: E501
    ),
    "into a convolution with a border when nothing is shifted": (
        network(
            """\
    w: f32[4, 2, 3, 3] = const(...)
    n = batch_norm(x, gamma, beta, mean, var)
    c = conv(n, w, pads=(1, 1, 1, 1))
    return c
""",
            norm=WITHOUT_SHIFT,
        ),
        """
        def f(x: f32[1, 2, 5, 5]):
            w: f32[4, 2, 3, 3] = const(...)
            c_bias: f32[4] = const(..., name="c.bias")
            c: f32[1, 4, 5, 5] = conv(x, w, c_bias, pads=(1, 1, 1, 1))
            return c
        """,
    ),
}


@pytest.mark.parametrize(("before", "after"), FORWARDS.values(), ids=FORWARDS.keys())
def test_folds_into_the_convolution_behind_it(before: str, after: str):
    check_rewrite(before, FoldBatchNorm(), after)


NOT_FORWARDS = {
    "a border, whose zeros would be shifted too": network("""\
    w: f32[4, 2, 3, 3] = const(...)
    n = batch_norm(x, gamma, beta, mean, var)
    c = conv(n, w, pads=(1, 1, 1, 1))
    return c
"""),
    "a max pool that a negative scale turns into a min pool": network(
        """\
    w: f32[4, 2, 1, 1] = const(...)
    n = batch_norm(x, gamma, beta, mean, var)
    p = max_pool(n, kernel=(2, 2), stride=(2, 2), pads=(0, 0, 0, 0), dilation=(1, 1))
    c = conv(p, w)
    return c
""",
        norm=POSITIVE_THEN_NEGATIVE,
    ),
    "a second reader of the batchnorm": network("""\
    w: f32[4, 2, 1, 1] = const(...)
    n = batch_norm(x, gamma, beta, mean, var)
    c = conv(n, w)
    return c, n
"""),
    "a second reader of the pool": network("""\
    w: f32[4, 2, 1, 1] = const(...)
    n = batch_norm(x, gamma, beta, mean, var)
    p = max_pool(n, kernel=(2, 2), stride=(2, 2), pads=(0, 0, 0, 0), dilation=(1, 1))
    c = conv(p, w)
    return c, p
"""),
}


@pytest.mark.parametrize("text", NOT_FORWARDS.values(), ids=NOT_FORWARDS.keys())
def test_does_not_fold_forwards_across(text: str):
    before = read(text)
    after = FoldBatchNorm().run(before)
    assert isinstance(after.named("n"), Conv)
    assert_same_meaning(before, after)


def test_backwards_goes_before_forwards():
    after = FoldBatchNorm().run(
        read(
            network("""\
    w: f32[2, 2, 1, 1] = const(...)
    c = conv(x, w)
    n = batch_norm(c, gamma, beta, mean, var)
    v: f32[2, 2, 1, 1] = const(...)
    d = conv(n, v)
    return d
""")
        )
    )
    assert [node.name for node in after.nodes if isinstance(node, Conv)] == ["n", "d"]
    np.testing.assert_array_equal(value(after.named("v")), reals_of("v", 2, 2, 1, 1))


def reals_of(name: str, *shape: int) -> Array:
    """What `const(...)` of this name and shape holds."""
    return seeded_array(f32(*shape), seed=crc32(name.encode()))
