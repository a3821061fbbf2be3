"""Packed weights, element by element as the document of the layout says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qcompile.targets.cuda.packing import depth_bytes, pack_weights

Ints = NDArray[Any]


def weights(rows: int, depth: int, bits: int) -> Ints:
    low, high = -(1 << (bits - 1)), 1 << (bits - 1)
    return np.random.default_rng(rows * depth).integers(low, high, (rows, depth))


def nibble(byte: int, half: int) -> int:
    """The low (0) or high (1) four bits as a signed number."""
    return (byte >> (4 * half) & 15 ^ 8) - 8


def test_eight_bits_lie_as_they_are():
    packed = pack_weights(weights(3, 64, 8), bits=8, weight_bits=8, bn=32)
    np.testing.assert_array_equal(packed[0, 0, [0, 1, 8]].view(np.int8), weights(3, 64, 8))


@pytest.mark.parametrize(
    ("row", "output"), [(0, 0), (1, 1), (2, 8), (7, 25), (8, 2), (13, 19), (31, 31), (34, 40)]
)
def test_two_columns_of_each_of_four_products_are_eight_neighbours(row: int, output: int):
    given = weights(64, 64, 8)
    packed = pack_weights(given, bits=8, weight_bits=8, bn=64).view(np.int8)
    np.testing.assert_array_equal(packed[0, 0, row], given[output])


def test_tiles_then_steps_then_rows():
    given = weights(70, 130, 8)
    packed = pack_weights(given, bits=8, weight_bits=8, bn=32).view(np.int8)
    assert packed.shape == (3, 3, 32, 64)
    np.testing.assert_array_equal(packed[1, 2, 5, :2], given[32 + 17, 128:])
    np.testing.assert_array_equal(packed[2, 1, 9], given[64 + 3, 64:128])


def test_rows_and_k_end_in_zeros():
    packed = pack_weights(weights(70, 130, 8), bits=8, weight_bits=8, bn=32)
    last = [0, 1, 8, 9, 16, 17]
    assert not np.delete(packed[2], last, axis=1).any()
    assert packed[2][:, last, :2].any()
    assert not packed[:, 2, :, 2:].any()


@pytest.mark.parametrize("element", [0, 1, 2, 77, 127])
def test_four_bits_have_neighbours_in_a_byte_the_first_low(element: int):
    given = weights(32, 128, 4)
    packed = pack_weights(given, bits=4, weight_bits=4, bn=32)
    assert packed.shape == (1, 1, 32, 64)
    assert nibble(int(packed[0, 0, 9, element // 2]), element % 2) == given[3, element]


@pytest.mark.parametrize(
    ("element", "byte", "half"),
    [(0, 0, 0), (15, 15, 0), (16, 0, 1), (31, 15, 1), (32, 16, 0), (50, 18, 1), (63, 31, 1)],
)
def test_four_bits_of_eight_bit_products_pair_chunks(element: int, byte: int, half: int):
    given = weights(32, 64, 4)
    packed = pack_weights(given, bits=8, weight_bits=4, bn=32)
    assert packed.shape == (1, 1, 32, 32)
    assert nibble(int(packed[0, 0, 9, byte]), half) == given[3, element]


def test_extremes_keep_their_sign():
    given = np.array([[-8, 7, -1, 0]])
    packed = pack_weights(given, bits=4, weight_bits=4, bn=32)
    assert packed[0, 0, 0, :2].tolist() == [0x78, 0x0F]


@pytest.mark.parametrize(
    ("depth", "bits", "count"), [(1, 8, 64), (64, 8, 64), (65, 8, 128), (128, 4, 64), (129, 4, 128)]
)
def test_k_is_filled_to_whole_steps(depth: int, bits: int, count: int):
    assert depth_bytes(depth, bits=bits) == count


@pytest.mark.parametrize(("value", "weight_bits"), [(8, 4), (-9, 4), (128, 8), (-129, 8)])
def test_weights_must_fit(value: int, weight_bits: int):
    with pytest.raises(AssertionError, match=f"weights of {weight_bits} bits"):
        pack_weights(np.array([[value]]), bits=8, weight_bits=weight_bits, bn=32)
