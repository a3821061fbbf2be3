"""Layouts: strides, halos, and which reshapes move nothing."""

import pytest

from qcompile.targets.loops.layout import (
    channels_last,
    dense,
    merge_halos,
    packed,
    padded_width,
    row_major,
    same_bytes,
)


def test_channels_last_pads_channels_to_16():
    layout = packed((2, 20, 5, 6), channels_last(4))
    assert layout.strides == (5 * 6 * 32, 1, 6 * 32, 32)
    assert (layout.width, layout.inner, layout.size) == (32, 1, 2 * 5 * 6 * 32)


def test_a_halo_moves_the_origin():
    layout = packed((1, 16, 4, 4), channels_last(4)).with_halo(((0, 0), (0, 0), (1, 2), (3, 0)))
    assert layout.strides == (7 * 7 * 16, 1, 7 * 16, 16)
    assert layout.offset == 1 * 7 * 16 + 3 * 16
    assert layout.size == 7 * 7 * 16


@pytest.mark.parametrize(
    ("extent", "width"), [(1, 1), (2, 2), (3, 4), (4, 4), (5, 16), (16, 16), (17, 32)]
)
def test_widths(extent: int, width: int):
    assert padded_width(extent) == width


def test_a_dense_layout_has_no_padding():
    assert dense((3, 5)).strides == (5, 1)
    assert dense((3, 5)).size == 15


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ((1, 20, 1, 1), (1, 20), True),
        ((4, 32), (128,), True),
        ((4, 20), (80,), False),
        ((2, 3, 20), (6, 20), False),
    ],
)
def test_reshapes_that_move_nothing(before: tuple[int, ...], after: tuple[int, ...], same: bool):
    layout = packed(before, channels_last(4)) if len(before) == 4 else row_major(before)
    assert same_bytes(layout, after) == same


def test_channels_last_is_not_row_major():
    assert not same_bytes(packed((1, 16, 4, 4), channels_last(4)), (256,))


def test_halos_merge_to_the_larger():
    assert merge_halos(((1, 0), (2, 2)), ((0, 3), (1, 1))) == ((1, 3), (2, 2))
