"""Contractions that must choose alike, found in graphs."""

from qcompile.passes.assignment.graph_ties import shared_inputs, shared_weights
from qcompile.passes.assignment.widths import NamedTie
from tests.helpers import read

BLOCK = """
    def f(x: f32[1, 4, 6, 6]):
        w: f32[4, 4, 1, 1] = const(...)
        v: f32[4, 4, 1, 1] = const(...)
        first = conv(x, w)
        stem = relu(first)
        left = conv(stem, v)
        right = conv(left, v)
        down = conv(stem, w)
        y = add(right, down)
        return y
    """

JOINED = """
    def f(x: f32[1, 4, 6, 6], z: f32[1, 4, 6, 6]):
        w: f32[4, 4, 1, 1] = const(...)
        v: f32[4, 8, 1, 1] = const(...)
        a = relu(x)
        b = relu(z)
        left = conv(a, w)
        right = conv(b, w)
        both = concat((a, b), axis=1)
        joined = conv(both, v)
        return left, right, joined
    """


def test_a_block_and_its_downsampling_read_one_value():
    assert shared_inputs(read(BLOCK)) == (NamedTie(("left", "down"), "activation"),)


def test_a_concat_binds_all_that_read_its_parts():
    assert shared_inputs(read(JOINED)) == (NamedTie(("left", "right", "joined"), "activation"),)


def test_contractions_of_one_weight_are_tied_by_its_bits():
    assert shared_weights(read(BLOCK)) == (
        NamedTie(("first", "down"), "weight"),
        NamedTie(("left", "right"), "weight"),
    )


def test_equal_numbers_are_one_weight():
    same = """
        def f(x: f32[1, 1, 2, 2]):
            w: f32[1, 1, 1, 1] = const(0.5)
            v: f32[1, 1, 1, 1] = const(0.5)
            u: f32[1, 1, 1, 1] = const(0.25)
            a = conv(x, w)
            b = conv(a, v)
            c = conv(b, u)
            return c
        """
    assert shared_weights(read(same)) == (NamedTie(("a", "b"), "weight"),)
