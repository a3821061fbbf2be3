"""Narrow integers packed without gaps: element 0 in the lowest bits of byte 0.

Element i of b bits occupies bits i·b … i·b + b − 1 of the little-endian bit stream. For 4 bits that
is two per byte, the even element in the LOW nibble (as `mma` fragments want; HAWQ packs the other
way round). Signed integers are two's complement.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[Any]
AT_ONCE = 1 << 20  # elements, a multiple of 8: parts end at whole bytes


def packed_size(count: int, bits: int) -> int:
    """Bytes that `count` elements take: ⌈count · bits / 8⌉."""
    return (count * bits + 7) // 8


def pack(values: Integers, bits: int) -> NDArray[np.uint8]:
    """The elements in row-major order as bytes; unused high bits of the last byte are 0.

    `ValueError` when an element fits neither i{bits} nor u{bits}.
    """
    if not 1 <= bits <= 8:
        raise ValueError(f"packs 1 to 8 bits, not {bits}")
    flat = values.reshape(-1)
    low, high = (int(flat.min()), int(flat.max())) if flat.size else (0, 0)
    greatest = (1 << (bits - 1 if low < 0 else bits)) - 1
    if low < -(1 << (bits - 1)) or high > greatest:
        raise ValueError(f"{low}…{high} does not fit {bits} bits")
    packed = np.empty(packed_size(flat.size, bits), np.uint8)
    for start in range(0, flat.size, AT_ONCE):
        part = _packed(flat[start : start + AT_ONCE].astype(np.uint8), bits)
        first = start * bits // 8
        packed[first : first + part.size] = part
    return packed


def _packed(codes: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Each code's low bits."""
    if bits == 8:
        return codes
    if bits == 4 and codes.size % 2 == 0:
        return codes[::2] & np.uint8(15) | codes[1::2] << np.uint8(4)
    stream = codes[:, None] >> np.arange(bits, dtype=np.uint8) & np.uint8(1)
    return np.packbits(stream.reshape(-1), bitorder="little")


def unpack(data: Integers, bits: int, count: int, *, signed: bool) -> Integers:
    """The first `count` elements, as int8 or uint8."""
    if not 1 <= bits <= 8:
        raise ValueError(f"packs 1 to 8 bits, not {bits}")
    if data.size < packed_size(count, bits):
        raise ValueError(f"{count} elements of {bits} bits need more than {data.size} bytes")
    if 8 % bits == 0:
        return _whole_bytes(bits, signed=signed)[data.reshape(-1)].reshape(-1)[:count]
    return _unpack(data, bits, count, signed=signed)


@cache
def _whole_bytes(bits: int, *, signed: bool) -> Integers:
    """The elements of each of the 256 bytes."""
    every = np.arange(256, dtype=np.uint8)
    return _unpack(every, bits, 256 * 8 // bits, signed=signed).reshape(256, -1)


def _unpack(data: Integers, bits: int, count: int, *, signed: bool) -> Integers:
    stream = np.unpackbits(data.astype(np.uint8), bitorder="little")[: count * bits]
    codes = (stream.reshape(count, bits).astype(np.int16) << np.arange(bits)).sum(1)
    wrapped = codes - ((codes >> (bits - 1)) << bits) if signed else codes
    return wrapped.astype(np.int8 if signed else np.uint8)
