"""Weights as the dot instructions want them: [blocks of lanes][taps][groups][lane][group]."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.targets.tvm.isa import Isa

Ints = NDArray[Any]


def pack(weights: Ints, isa: Isa) -> Ints:
    """[outputs, taps, k] → [blocks, taps, groups, lanes, group], padded with zeros."""
    kind = np.int16 if isa.dot.weight == "i16" else np.int8
    return np.ascontiguousarray(ordered(weights, isa).astype(kind))


def ordered(weights: Ints, isa: Isa) -> Ints:
    """The same in the numbers' own type."""
    outputs, taps, depth = weights.shape
    lanes, group = isa.lanes, isa.dot.group
    room = ((0, -outputs % lanes), (0, 0), (0, -depth % group))
    padded = np.pad(weights, room)
    blocks = padded.reshape(-1, lanes, taps, padded.shape[2] // group, group)
    return blocks.transpose(0, 2, 3, 1, 4)


def by_block(weights: Ints, groups: int, lanes: int) -> tuple[Ints, Ints]:
    """Grouped weights [outputs, taps, k] as dense ones over a window of channels per block.

    Returns weights [outputs, taps, span] and each block's first channel: outputs of one block read
    the channels from there on, with zeros where a channel is of another group.
    """
    outputs, taps, depth = weights.shape
    each = outputs // groups
    blocks = -(-outputs // lanes)
    group_of = [o // each for o in range(outputs)]
    first = np.array([group_of[i * lanes] * depth for i in range(blocks)])
    last = np.array([group_of[min(outputs, (i + 1) * lanes) - 1] * depth for i in range(blocks)])
    span = int((last - first).max()) + depth
    spread = np.zeros((outputs, taps, span), weights.dtype)
    for o in range(outputs):
        start = group_of[o] * depth - first[o // lanes]
        spread[o, :, start : start + depth] = weights[o]
    return spread, first


def whole_rows(weights: Ints, width: int) -> Ints:
    """[outputs, taps, k_last, channels] → [outputs, taps, k_last · width]: one run of bytes."""
    outputs, taps, last, channels = weights.shape
    room = ((0, 0), (0, 0), (0, 0), (0, width - channels))
    return np.pad(weights, room).reshape(outputs, taps, last * width)
