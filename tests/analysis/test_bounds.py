"""Bounds of integers: as tight as the weights allow, and never too tight."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qcompile.analysis.bounds import Bounds
from qcompile.ir.graph import Graph
from tests.helpers import read

U8_AT_100 = "def f(x: u8[2, 2] @ q(0.5, 100), z: u8[2, 2] @ q(0.5, 100)):\n"
BODIES = {
    "w: i8[2, 1] @ q(0.5) = const([[2], [-3]])\n    y = mat_mul(x, w)": (-665, 610),
    "w: i8[2, 1] @ q(0.5) = const([[2], [3]])\n    y = mat_mul(x, w)": (-500, 775),
    "w: i8[2, 1] @ q(0.5) = const([[2], [3]])\n    b: i32[1] @ q(0.25) = const([7])\n"
    "    y = mat_mul(x, w, b)": (-493, 782),
    "y = mat_mul(x, z)": (-48050, 48050),
    "y = mul(x, z)": (-15500, 24025),
    "y = reduce_mean(x, axes=(1,))": (-200, 310),
    "y = reduce_max(x, axes=(1,))": (0, 255),
    "y = hadamard(x, axis=1, size=2)": (-255, 310),
    "y = concat((x, z), axis=1)": (0, 255),
    "y = relu(x)": (100, 255),
    "y: i8[2, 2] @ q(0.5) = requantize(x, numbers=multipliers((1,), 0), lo=-128, hi=127)": (
        -100,
        127,
    ),
    "y: i8[2, 2] @ q(0.5) = requantize(x, numbers=multipliers((1,), 1), lo=0, hi=127)": (0, 78),
    "y = softmax_integer(x, axis=1, numbers=multipliers((1,), 0))": (0, 1 << 30),
}


@pytest.mark.parametrize("body", BODIES)
def test_bounds_are_those_of_the_worst_input(body: str):
    graph = read(f"{U8_AT_100}    {body}\n    return y")
    assert Bounds().of(graph.results[0]) == BODIES[body]


def test_a_table_gives_what_stands_in_it():
    graph = read(
        f"{U8_AT_100}    t: i32[256] @ q(1.0) = const(...)\n    y = lut(x, t)\n    return y"
    )
    table = graph.constants[0].array
    assert Bounds().of(graph.results[0]) == (table.min(), table.max())


WIDE = """
    def f(x: i32[2] @ q(0.5), z: i32[2] @ q(0.5)):
        a: i32[2] @ q(0.5) = requantize(x, numbers=multipliers((1,), 0), lo=-5, hi=9)
        b: i32[2] @ q(0.5) = requantize(z, numbers=multipliers((1,), 0), lo=-1, hi=2)
        y = {}(a, b)
        return y
    """


def test_sums_and_differences_add_their_bounds():
    assert Bounds().of(read(WIDE.format("add")).results[0]) == (-6, 11)
    assert Bounds().of(read(WIDE.format("sub")).results[0]) == (-7, 10)


def test_a_border_counts_as_the_zero_point():
    graph = read("""
        def f(x: u8[1, 1, 2, 2] @ q(0.5, 100)):
            y: u8[1, 1, 2, 2] @ q(0.5, 100) = requantize(x, numbers=multipliers((1,), 0), lo=120, hi=130)
            z = pad(y, pads=(0, 0, 1, 1, 0, 0, 1, 1))
            w: i8[1, 1, 2, 2] @ q(0.5) = const([[[[1, 1], [1, 1]]]])
            c = conv(y, w, pads=(1, 1, 1, 1))
            return z, c
        """)  # noqa: E501
    assert Bounds().of(graph.results[0]) == (100, 130)
    assert Bounds().of(graph.results[1]) == (0, 120)


def test_magnitude_and_reach_are_counted_from_the_zero_point():
    (x, _) = read(f"{U8_AT_100}    return x").inputs
    assert Bounds().centred(x) == (-100, 155)
    assert Bounds().magnitude(x) == 155
    assert Bounds().real(x) == 77.5


def test_what_is_nothing_but_zero_reaches_one_step():
    graph = read("def f():\n    y: i32[2] @ q(0.25) = const([0, 0])\n    return y")
    assert (Bounds().magnitude(graph.results[0]), Bounds().real(graph.results[0])) == (0, 0.25)


def convolution(weights: list[int], zero: int) -> Graph:
    text = f"""
def f(x: u8[1, 2, 3, 3] @ q(0.5, {zero})):
    w: i8[2, 2, 2, 1] @ q((0.5, 0.25), axis=0) = const({weights})
    b: i32[2] @ q((0.25, 0.125), axis=0) = const([100, -7])
    y = conv(x, w, b, pads=(1, 0, 0, 1))
    return y"""
    return read(text)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-128, 127), min_size=8, max_size=8), st.integers(0, 255))
def test_the_bounds_of_a_convolution_are_reached(weights: list[int], zero: int):
    graph = convolution(weights, zero)
    w = np.array(weights).reshape(2, 4)
    worst = [np.where(sign * row > 0, 255, 0) for row in w for sign in (1, -1)]
    images = [np.repeat(x.reshape(1, 2, 2, 1), 3, 3).astype(np.uint8) for x in worst]
    found = np.array([graph.run(np.concatenate([x, x[:, :, :1]], 2))[0] for x in images])
    assert Bounds().of(graph.results[0]) == (found.min(), found.max())
