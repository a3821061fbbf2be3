"""Registers of a warp ↔ matrices, by the PTX manual's figures, in numpy only.

Lane 4g + q holds row g of A, column g of B, and the sums of row g, columns 2q and 2q + 1. A
register is 4 bytes of k, and 16-byte groups of k follow each other.
"""

import numpy as np


def elements(packed, bits, unsigned):
    """Bytes → integers along the last axis; of two nibbles the low one comes first."""
    if bits == 8:
        return packed.astype(np.int64) if unsigned else packed.view(np.int8).astype(np.int64)
    nibbles = np.stack((packed & 15, packed >> 4), axis=-1).reshape(*packed.shape[:-1], -1)
    return nibbles.astype(np.int64) if unsigned else (nibbles ^ 8).astype(np.int64) - 8


def rows(registers, bits, unsigned):
    """A: `[lane, group, half]` words → `[8·half + g, k]`."""
    groups, halves = registers.shape[1:]
    parts = registers.view(np.uint8).reshape(8, 4, groups, halves, 4)
    return elements(np.ascontiguousarray(parts.transpose(3, 0, 2, 1, 4)), bits, unsigned).reshape(
        8 * halves, -1
    )


def columns(registers, bits):
    """B: `[lane, group]` words → `[k, g]`."""
    parts = registers.view(np.uint8).reshape(8, 4, registers.shape[1], 4)
    return elements(np.ascontiguousarray(parts.transpose(0, 2, 1, 3)), bits, False).reshape(8, -1).T


def sums(registers):
    """C: `[lane, half, pair]` → `[8·half + g, column]`."""
    halves = registers.shape[1]
    return registers.reshape(8, 4, halves, 2).transpose(2, 0, 1, 3).reshape(8 * halves, 8)


def wrapped(values):
    """What int32 keeps of them."""
    return values.astype(np.uint64).astype(np.uint32).view(np.int32)
