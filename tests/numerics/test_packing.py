"""Packing: element 0 lies lowest; unpacking undoes it at every width."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcompile.numerics.packing import pack, packed_size, unpack


def test_element_0_is_the_low_nibble():
    assert pack(np.array([0x1, 0x2, 0xF]), 4).tolist() == [0x21, 0x0F]


def test_negative_elements_are_twos_complement():
    assert pack(np.array([-1, -8], np.int8), 4).tolist() == [0x8F]


def test_three_bits_run_across_bytes():
    assert pack(np.array([0b001, 0b010, 0b111]), 3).tolist() == [0b11010001, 0b1]


def test_the_order_is_row_major():
    assert pack(np.array([[1, 2], [3, 4]]), 4).tolist() == [0x21, 0x43]


@given(st.data(), st.integers(1, 8), st.booleans())
def test_unpack_undoes_pack(data: st.DataObject, bits: int, signed: bool):
    lo, hi = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    values = np.array(data.draw(st.lists(st.integers(lo, hi), max_size=20)), np.int64)
    packed = pack(values, bits)
    assert packed.size == packed_size(values.size, bits)
    np.testing.assert_array_equal(unpack(packed, bits, values.size, signed=signed), values)


@pytest.mark.parametrize("values", [[16], [-9], [-1, 8]])
def test_refuses_elements_that_do_not_fit(values: list[int]):
    with pytest.raises(ValueError, match="does not fit 4 bits"):
        pack(np.array(values), 4)


def test_refuses_widths_beyond_a_byte():
    with pytest.raises(ValueError, match="packs 1 to 8 bits, not 9"):
        pack(np.array([1]), 9)


def test_refuses_too_few_bytes():
    with pytest.raises(ValueError, match="3 elements of 4 bits need more than 1 bytes"):
        unpack(np.zeros(1, np.uint8), 4, 3, signed=True)
