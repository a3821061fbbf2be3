"""Weights as the contraction kernels read them: [n tile][step of k][row][the step's bytes]."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.targets.cuda.tiles import STEP_BYTES

RUN = 8  # channels of one place that a lane finishes at once
Ints = NDArray[Any]
Bytes = NDArray[np.uint8]

CHUNK = 16


def ordered(weights: Ints, *, bits: int, weight_bits: int, bn: int) -> Ints:
    """The elements of `pack_weights`, in the order in which they follow in memory."""
    rows, depth = weights.shape
    step = STEP_BYTES * 8 // bits
    padded = np.pad(weights, ((0, -rows % bn), (0, -depth % step)))
    by_lane = padded.reshape(-1, 4, RUN // 2, 2, padded.shape[1]).swapaxes(1, 2)
    tiled = by_lane.reshape(-1, bn, padded.shape[1] // step, step).transpose(0, 2, 1, 3)
    if (bits, weight_bits) != (8, 4):
        return tiled
    pairs = tiled.reshape(*tiled.shape[:-1], -1, 2, CHUNK)
    return pairs.swapaxes(-1, -2).reshape(tiled.shape)


def pack_weights(weights: Ints, *, bits: int, weight_bits: int, bn: int) -> Bytes:
    """Weights [n, k] of products of `bits` bits, `weight_bits` wide in memory, for tiles of `bn`.

    Of each 32 rows, row 8 * j + 2 * q + e holds output 8 * q + 2 * j + e (e < 2; j, q < 4): so the
    two columns that a lane has of each of four products side by side are 8 neighbours. Rows are
    filled up with zeros to whole tiles, k to whole steps of 64 bytes of `bits`-bit
    elements. A byte holds, by (bits, weight_bits):
    (8, 8) one weight;
    (4, 4) two neighbours, the first in the low nibble;
    (8, 4) weight i of 32 in the low nibble and weight i + 16 in the high one, i < 16: so that one
    load of 16 bytes gives two operands of 8-bit products.
    """
    limit = 1 << (weight_bits - 1)
    assert weights.min(initial=0) >= -limit, f"weights of {weight_bits} bits"
    assert weights.max(initial=0) < limit, f"weights of {weight_bits} bits"
    assert (bits, weight_bits) in ((8, 8), (4, 4), (8, 4)), f"{bits} bits with {weight_bits}"
    elements = ordered(weights, bits=bits, weight_bits=weight_bits, bn=bn).astype(np.uint8)
    if weight_bits == 8:
        return np.ascontiguousarray(elements)
    return elements[..., 0::2] & np.uint8(15) | elements[..., 1::2] << np.uint8(4)


def depth_bytes(depth: int, *, bits: int) -> int:
    """K_BYTES of a contraction over `depth` elements: whole steps."""
    return -(-depth * bits // (8 * STEP_BYTES)) * STEP_BYTES
