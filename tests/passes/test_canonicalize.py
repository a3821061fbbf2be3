"""Canonical spellings: each rule where it fires, and each guard where it must not."""

import numpy as np
import pytest

from qcompile.passes.canonicalize import Canonicalize
from tests.helpers import assert_same_meaning, check_rewrite, check_unchanged, read

PASS = Canonicalize()

IDLE = [
    "y: f32[1, 2, 4, 4] = reshape(x)",
    "y = expand(x, shape=(1, 2, 4, 4))",
    "y = slice(x, axes=(1,), starts=(0,), stops=(2,), steps=(1,))",
    "y: f32[1, 2, 4, 4] = cast(x)",
    "y = transpose(x, perm=(0, 1, 2, 3))",
    "y = pad(x, pads=(0, 0, 0, 0, 0, 0, 0, 0))",
    "y = concat((x,), axis=1)",
    "y = clip(x)",
    "one: f32[1, 2, 1, 1] = const([1.0, 1.0])\n    y = mul(x, one)",
    "zero: f32[()] = const(0.0)\n    y = add(x, zero)",
    "one: f32[()] = const(1.0)\n    y = div(x, one)",
    "zero: f32[()] = const(0.0)\n    y = sub(x, zero)",
]


@pytest.mark.parametrize("line", IDLE)
def test_what_gives_back_its_operand_goes(line: str):
    before = f"def f(x: f32[1, 2, 4, 4]):\n    {line}\n    return {{'y': y}}"
    check_rewrite(before, PASS, 'def f(x: f32[1, 2, 4, 4]):\n    return {"y": x}', within=0)


BUSY = [
    "y: f32[2, 1, 4, 4] = reshape(x)",
    "y = expand(x, shape=(3, 2, 4, 4))",
    "y = slice(x, axes=(1,), starts=(1,), stops=(-1,), steps=(-1,))",
    "y: i32[1, 2, 4, 4] = cast(x)",
    "y = transpose(x, perm=(0, 1, 3, 2))",
    "y = pad(x, pads=(0, 0, 0, 1, 0, 0, 0, 0))",
    "y = concat((x, x), axis=1)",
    "y = clip(x, hi=6.0)",
    "one: f32[1, 2, 1, 1] = const([1.0, 0.5])\n    y = mul(x, one)",
    "one: f32[3, 1, 1, 1] = const([1.0, 1.0, 1.0])\n    y = mul(x, one)",
    "zero: f32[3, 1, 1, 1] = const([0.0, 0.0, 0.0])\n    y = add(x, zero)",
]


@pytest.mark.parametrize("line", BUSY)
def test_what_does_something_stays(line: str):
    check_unchanged(f"def f(x: f32[1, 2, 4, 4]):\n    {line}\n    return y", PASS)


FIRES = {
    "reshape of reshape": (
        """
        def f(x: f32[1, 2, 4, 4]):
            a: f32[2, 16] = reshape(x)
            y: f32[32] = reshape(a)
            return y
        """,
        """
        def f(x: f32[1, 2, 4, 4]):
            y: f32[32] = reshape(x)
            return y
        """,
    ),
    "transpose of transpose": (
        """
        def f(x: f32[1, 2, 3, 4]):
            a = transpose(x, perm=(0, 2, 3, 1))
            y = transpose(a, perm=(3, 0, 2, 1))
            return y
        """,
        """
        def f(x: f32[1, 2, 3, 4]):
            y: f32[2, 1, 4, 3] = transpose(x, perm=(1, 0, 3, 2))
            return y
        """,
    ),
    "transposes that cancel": (
        """
        def f(x: f32[1, 2, 3, 4]):
            a = transpose(x, perm=(0, 2, 3, 1))
            b = transpose(a, perm=(0, 3, 1, 2))
            y = relu(b)
            return y
        """,
        """
        def f(x: f32[1, 2, 3, 4]):
            y: f32[1, 2, 3, 4] = relu(x)
            return y
        """,
    ),
    "a constant on the left of a sum": (
        """
        def f(x: f32[2, 3]):
            c: f32[3] = const(...)
            y = add(c, x)
            return y
        """,
        """
        def f(x: f32[2, 3]):
            c: f32[3] = const(...)
            y: f32[2, 3] = add(x, c)
            return y
        """,
    ),
    "a constant on the left of a product": (
        """
        def f(x: f32[2, 3]):
            c: f32[3] = const(...)
            y = mul(c, x)
            return y
        """,
        """
        def f(x: f32[2, 3]):
            c: f32[3] = const(...)
            y: f32[2, 3] = mul(x, c)
            return y
        """,
    ),
    "minus a constant": (
        """
        def f(x: f32[2, 3]):
            c: f32[3] = const([1.0, -2.0, 4.0])
            y = sub(x, c)
            return y
        """,
        """
        def f(x: f32[2, 3]):
            c: f32[3] = const(...)
            y: f32[2, 3] = add(x, c)
            return y
        """,
    ),
    "divided by a constant": (
        """
        def f(x: f32[2, 3]):
            c: f32[3] = const([1.0, -2.0, 4.0])
            y = div(x, c)
            return y
        """,
        """
        def f(x: f32[2, 3]):
            c: f32[3] = const(...)
            y: f32[2, 3] = mul(x, c)
            return y
        """,
    ),
    "the greater of x and a number": (
        """
        def f(x: f32[2, 3]):
            c: f32[()] = const(-1.5)
            y = maximum(c, x)
            return y
        """,
        """
        def f(x: f32[2, 3]):
            y: f32[2, 3] = clip(x, lo=-1.5)
            return y
        """,
    ),
    "the lesser of x and a number": (
        """
        def f(x: f32[2, 3]):
            c: f32[1] = const([1.5])
            y = minimum(x, c)
            return y
        """,
        """
        def f(x: f32[2, 3]):
            y: f32[2, 3] = clip(x, hi=1.5)
            return y
        """,
    ),
    "the greater of x and 0": (
        """
        def f(x: f32[2, 3]):
            c: f32[()] = const(0.0)
            y = maximum(x, c)
            return y
        """,
        """
        def f(x: f32[2, 3]):
            y: f32[2, 3] = relu(x)
            return y
        """,
    ),
    "max and min with numbers": (
        """
        def f(x: f32[2, 3]):
            zero: f32[()] = const(0.0)
            six: f32[()] = const(6.0)
            a = maximum(x, zero)
            y = minimum(a, six)
            return y
        """,
        """
        def f(x: f32[2, 3]):
            y: f32[2, 3] = clip(x, lo=0.0, hi=6.0)
            return y
        """,
    ),
    "clip of clip": (
        """
        def f(x: f32[2, 3]):
            a = clip(x, lo=-2.0, hi=1.0)
            y = clip(a, lo=-0.5, hi=3.0)
            return y
        """,
        """
        def f(x: f32[2, 3]):
            y: f32[2, 3] = clip(x, lo=-0.5, hi=1.0)
            return y
        """,
    ),
    "clips without a common value": (
        """
        def f(x: f32[2, 3]):
            a = clip(x, lo=-2.0, hi=-1.0)
            y = clip(a, lo=0.5, hi=3.0)
            return y
        """,
        """
        def f(x: f32[2, 3]):
            y: f32[2, 3] = clip(x, lo=0.5, hi=0.5)
            return y
        """,
    ),
    "clip of relu": (
        """
        def f(x: f32[2, 3]):
            a = relu(x)
            y = clip(a, lo=-0.5, hi=3.0)
            return y
        """,
        """
        def f(x: f32[2, 3]):
            y: f32[2, 3] = clip(x, lo=0.0, hi=3.0)
            return y
        """,
    ),
    "relu of clip": (
        """
        def f(x: f32[2, 3]):
            a = clip(x, lo=-0.5, hi=3.0)
            y = relu(a)
            return y
        """,
        """
        def f(x: f32[2, 3]):
            y: f32[2, 3] = clip(x, lo=0.0, hi=3.0)
            return y
        """,
    ),
    "relu of relu": (
        """
        def f(x: f32[2, 3]):
            a = relu(x)
            y = relu(a)
            return {"y": y}
        """,
        """
        def f(x: f32[2, 3]):
            a: f32[2, 3] = relu(x)
            return {"y": a}
        """,
    ),
    "a convolution plus a constant per channel": (
        """
        def f(x: f32[1, 2, 4, 4]):
            w: f32[3, 2, 1, 1] = const(...)
            b: f32[1, 3, 1, 1] = const(...)
            c = conv(x, w)
            y = add(c, b)
            return y
        """,
        """
        def f(x: f32[1, 2, 4, 4]):
            w: f32[3, 2, 1, 1] = const(...)
            b: f32[3] = const(...)
            y: f32[1, 3, 4, 4] = conv(x, w, b)
            return y
        """,
    ),
    "a convolution with a bias plus one number": (
        """
        def f(x: f32[1, 2, 4, 4]):
            w: f32[3, 2, 1, 1] = const(...)
            b: f32[3] = const(...)
            one: f32[()] = const(1.0)
            c = conv(x, w, b)
            y = add(c, one)
            return y
        """,
        """
        def f(x: f32[1, 2, 4, 4]):
            w: f32[3, 2, 1, 1] = const(...)
            one: f32[3] = const(...)
            y: f32[1, 3, 4, 4] = conv(x, w, one)
            return y
        """,
    ),
    "a transposed convolution minus a constant": (
        """
        def f(x: f32[1, 2, 4, 4]):
            w: f32[2, 3, 1, 1] = const(...)
            b: f32[3, 1, 1] = const(...)
            c = conv_transpose(x, w)
            y = sub(c, b)
            return y
        """,
        """
        def f(x: f32[1, 2, 4, 4]):
            w: f32[2, 3, 1, 1] = const(...)
            b: f32[3] = const(...)
            y: f32[1, 3, 4, 4] = conv_transpose(x, w, b)
            return y
        """,
    ),
    "a matrix product plus a row": (
        """
        def f(x: f32[4, 2]):
            w: f32[2, 3] = const(...)
            b: f32[3] = const(...)
            c = mat_mul(x, w)
            y = add(b, c)
            return y
        """,
        """
        def f(x: f32[4, 2]):
            w: f32[2, 3] = const(...)
            b: f32[3] = const(...)
            y: f32[4, 3] = mat_mul(x, w, b)
            return y
        """,
    ),
    "an average over the whole picture": (
        """
        def f(x: f32[1, 2, 4, 5]):
            y = average_pool(x, kernel=(4, 5), stride=(1, 1), pads=(0, 0, 0, 0), dilation=(1, 1))
            return y
        """,
        """
        def f(x: f32[1, 2, 4, 5]):
            y: f32[1, 2, 1, 1] = reduce_mean(x, axes=(2, 3))
            return y
        """,
    ),
    "prelu with one slope": (
        """
        def f(x: f32[1, 2, 4, 4]):
            s: f32[2, 1, 1] = const([0.25, 0.25])
            y = prelu(x, s)
            return y
        """,
        """
        def f(x: f32[1, 2, 4, 4]):
            y: f32[1, 2, 4, 4] = leaky_relu(x, alpha=0.25)
            return y
        """,
    ),
    "prelu with a slope per channel": (
        """
        def f(x: f32[1, 2, 4, 4]):
            s: f32[2, 1, 1] = const([0.25, -0.5])
            y = prelu(x, s)
            return y
        """,
        """
        def f(x: f32[1, 2, 4, 4]):
            _1: f32[1, 2, 4, 4] = relu(x)
            _2: f32[1, 2, 4, 4] = clip(x, hi=0.0)
            s: f32[2, 1, 1] = const(...)
            y_negative: f32[1, 2, 4, 4] = mul(_2, s, name="y.negative")
            y: f32[1, 2, 4, 4] = add(_1, y_negative)
            return y
        """,
    ),
}


@pytest.mark.parametrize(("before", "after"), FIRES.values(), ids=FIRES.keys())
def test_rewrites(before: str, after: str):
    check_rewrite(before, PASS, after)


STAYS = {
    "a sum of two constants": """
        def f():
            a: f32[2] = const(...)
            b: f32[2] = const(...)
            y = add(a, b)
            return y
        """,
    "integers minus a constant": """
        def f(x: i32[2]):
            c: i32[2] = const([1, 2])
            y = sub(x, c)
            return y
        """,
    "a division by zero": """
        def f(x: f32[2]):
            c: f32[2] = const([1.0, 0.0])
            y = div(x, c)
            return y
        """,
    "a division by x": """
        def f(x: f32[2]):
            c: f32[2] = const([1.0, 2.0])
            y = div(c, x)
            return y
        """,
    "the greater of x and several numbers": """
        def f(x: f32[2, 3]):
            c: f32[3] = const([1.0, 2.0, 3.0])
            y = maximum(x, c)
            return y
        """,
    "a number that widens x": """
        def f(x: f32[3]):
            c: f32[1, 1] = const([1.0])
            y = maximum(x, c)
            return y
        """,
    "a clip of integers": """
        def f(x: i32[3]):
            y = clip(x, lo=0.0)
            return y
        """,
    "relu of a clip below 0": """
        def f(x: f32[3]):
            a = clip(x, hi=-1.0)
            y = relu(a)
            return y
        """,
    "clip below 0 of a relu": """
        def f(x: f32[3]):
            a = relu(x)
            y = clip(a, hi=-1.0)
            return y
        """,
    "a constant that varies along the picture": """
        def f(x: f32[1, 3, 3, 3]):
            w: f32[3, 3, 1, 1] = const(...)
            b: f32[3] = const(...)
            c = conv(x, w)
            y = add(c, b)
            return y
        """,
    "a constant that adds samples": """
        def f(x: f32[1, 2, 3, 3]):
            w: f32[3, 2, 1, 1] = const(...)
            b: f32[4, 1, 1, 1] = const(...)
            c = conv(x, w)
            y = add(c, b)
            return y
        """,
    "a sum that something else reads bare": """
        def f(x: f32[4, 2]):
            w: f32[2, 3] = const(...)
            b: f32[3] = const(...)
            c = mat_mul(x, w)
            y = add(c, b)
            return y, c
        """,
    "a bias that is computed": """
        def f(x: f32[4, 2], b: f32[3]):
            w: f32[2, 3] = const(...)
            d: f32[3] = const(...)
            c = mat_mul(x, w, b)
            y = add(c, d)
            return y
        """,
    "an average over part of the picture": """
        def f(x: f32[1, 2, 4, 5]):
            y = average_pool(x, kernel=(4, 4), stride=(1, 1), pads=(0, 0, 0, 0), dilation=(1, 1))
            return y
        """,
    "an average with a border": """
        def f(x: f32[1, 2, 4, 4]):
            y = average_pool(x, kernel=(4, 4), stride=(4, 4), pads=(1, 1, 1, 1), dilation=(1, 1))
            return y
        """,
    "prelu whose slope is computed": """
        def f(x: f32[1, 2, 4, 4], s: f32[2, 1, 1]):
            y = prelu(x, s)
            return y
        """,
}


@pytest.mark.parametrize("text", STAYS.values(), ids=STAYS.keys())
def test_stays(text: str):
    check_unchanged(text, PASS)


def test_a_clip_that_meets_nan_keeps_it():
    text = "def f(x: f32[2]):\n    c: f32[()] = const(0.0)\n    y = maximum(x, c)\n    return y"
    x = np.array([np.nan, -1.0], np.float32)
    np.testing.assert_array_equal(PASS.run(read(text)).run(x), [[np.nan, 0.0]])


def test_a_bias_that_forbids_is_a_mask():
    source = """
        def f(x: f32[2, 2]):
            c: f32[2, 2] = const([[0.0, -inf], [0.0, 0.0]])
            a: f32[2, 2] = add(x, c)
            y: f32[2, 2] = softmax(a, axis=1)
            return y
    """
    graph = Canonicalize().run(read(source))
    assert [n.op for n in graph.nodes if n.operands] == ["where", "softmax"]
    assert_same_meaning(read(source), graph)


IN_ORDER = [
    ("[[0], [1]]", "2, 1", "2, 1, 3"),
    ("[[0, 0, 0], [1, 1, 1]]", "2, 3", "2, 3, 3"),
    ("[0, 1]", "2", "2, 3"),
    ("[1]", "1", "1, 3"),
    ("[-1]", "1", "1, 3"),
    ("[[1, 1]]", "1, 2", "1, 2, 3"),
]


@pytest.mark.parametrize(("places", "count", "shape"), IN_ORDER)
def test_a_look_up_in_order_is_a_reshape(places: str, count: str, shape: str):
    before = f"""
def f(x: f32[2, 3]):
    places: i64[{count}] = const({places})
    y: f32[{shape}] = gather(x, places, axis=0)
    return {{"y": y}}
"""
    after = PASS.run(read(before))
    assert {node.op for node in after.nodes} <= {"input", "slice", "reshape", "expand"}
    assert_same_meaning(read(before), after, within=0)


@pytest.mark.parametrize("places", ["[1, 0]", "[0, 1, 0]", "[0, 0, 1]"])
def test_a_look_up_in_another_order_stays(places: str):
    check_unchanged(
        f"def f(x: f32[2, 3]):\n    places: i64[{places.count(',') + 1}] = const({places})\n"
        "    y = gather(x, places, axis=0)\n    return {'y': y}",
        PASS,
    )


PART = "y: f32[1, 2] = slice(b, axes=(1,), starts=(1,), stops=(3,), steps=(1,))"
CUTS = [
    (0, 2, 'return {"y": a}'),
    (2, 5, 'return {"y": b}'),
    (3, 5, f"{PART}\n    return y"),
    (2, 6, "y: f32[1, 4] = concat((b, c), axis=1)\n    return y"),
]


@pytest.mark.parametrize(("start", "stop", "after"), CUTS)
def test_a_cut_through_joined_parts_takes_parts(start: int, stop: int, after: str):
    inputs = "def f(a: f32[1, 2], b: f32[1, 3], c: f32[1, 1]):"
    before = f"""{inputs}
    all = concat((a, b, c), axis=1)
    y = slice(all, axes=(1,), starts=({start},), stops=({stop},), steps=(1,))
    return {{'y': y}}"""
    check_rewrite(before, PASS, f"{inputs}\n    {after}", within=0)


@pytest.mark.parametrize(
    "cut",
    [
        "axes=(1,), starts=(1,), stops=(4,), steps=(1,)",
        "axes=(1,), starts=(0,), stops=(5,), steps=(2,)",
        "axes=(0,), starts=(0,), stops=(1,), steps=(1,)",
        "axes=(0, 1), starts=(0, 0), stops=(1, 2), steps=(1, 1)",
    ],
)
def test_other_cuts_through_joined_parts_stay(cut: str):
    check_unchanged(
        "def f(a: f32[2, 2], b: f32[2, 3]):\n    all = concat((a, b), axis=1)\n"
        f"    y = slice(all, {cut})\n    return y",
        PASS,
    )
