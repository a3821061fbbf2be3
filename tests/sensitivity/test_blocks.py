"""Blocks end at values that everything passes through."""

from qcompile.sensitivity.blocks import blocks, neighbours
from tests.helpers import read

RESIDUAL = """
    def f(x: f32[1, 4, 6, 6]):
        w: f32[4, 4, 1, 1] = const(...)
        v: f32[4, 4, 1, 1] = const(...)
        stem = conv(x, w)
        stem_2 = relu(stem)
        left = conv(stem_2, v)
        right = conv(left, v)
        down = conv(stem_2, w)
        sum = add(right, down)
        sum_2 = relu(sum)
        inner = conv(sum_2, w)
        y = add(inner, sum_2)
        return y
    """
NAMES = ("stem", "left", "right", "down", "inner")


def test_a_residual_branch_and_its_shortcut_are_one_block():
    found = [[node.name for node in block] for block in blocks(read(RESIDUAL))]
    assert found == [
        ["stem"],
        ["stem_2"],
        ["left", "right", "down", "sum"],
        ["sum_2"],
        ["inner", "y"],
    ]


def test_neighbours_share_a_block_or_stand_at_the_ends_of_two():
    assert neighbours(read(RESIDUAL), NAMES) == [
        ("stem", "left"),
        ("left", "right"),
        ("left", "down"),
        ("right", "down"),
        ("down", "inner"),
    ]


def test_only_what_is_asked_about_is_paired():
    assert neighbours(read(RESIDUAL), ("left", "inner")) == [("left", "inner")]


def test_a_value_that_is_returned_as_well_does_not_stop_others_from_being_cuts():
    text = """
        def f(x: f32[1, 4]):
            a = relu(x)
            b = neg(a)
            c = abs(b)
            d = neg(c)
            return b, d
        """
    found = [[node.name for node in block] for block in blocks(read(text))]
    assert found == [["a"], ["b"], ["c"], ["d"]]
