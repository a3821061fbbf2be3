"""How a sum of products runs on tensor cores: widths, tile, split, windows of channels."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.ir.dims import static
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.types import Scalar
from qcompile.targets.cuda.tiles import STEP_BYTES, Tile
from qcompile.targets.loops.nest import nbytes

Ints = NDArray[Any]
CHUNK = 16  # bytes of one row of an operand fragment


@dataclass(frozen=True, slots=True)
class Window:
    """Grouped channels: outputs from `each` · i on read x from channel `depth` · i on.

    A block of outputs starts at its first group's channels, rounded down to a chunk.
    """

    each: int
    depth: int


@dataclass(frozen=True, slots=True)
class Contraction:
    """How a nest with a dot product runs.

    `bits`: the operands' width; `weight_bits`: as weights lie in memory. `word`: bytes of x behind
    one address. `k_bytes`: the sum's
    length as the tensor cores read it, padded to whole steps. `splits`: parts of the sum; each is
    written `parts` elements after the one before.
    """

    bits: int
    weight_bits: int
    signed: bool
    word: int
    k_bytes: int
    tile: Tile
    splits: int
    window: Window | None
    milliseconds: float
    parts: int = 0


@dataclass(frozen=True, slots=True)
class Summed:
    """A step that adds up the parts of a split sum; its time is counted with theirs."""


def operand_bits(x: Node, weights: Ints, *, int4: bool) -> int:
    """4 when both operands have four bits and the tensor cores multiply such, else 8."""
    return 4 if int4 and x.type.elem.bits <= 4 and fit_nibbles(weights) else 8


def operand_format(elem: Scalar, bits: int) -> str:
    """How x must lie in memory."""
    return nibble(elem) if bits == 4 else "i8" if elem.signed else "u8"


def nibble(elem: Scalar) -> str:
    """The packed format of a value of at most four bits."""
    return "i4" if elem.signed else "u4"


def k_bytes(count: int, bits: int) -> int:
    """Bytes of a row of the sum, padded to whole steps."""
    return -(-nbytes(count, "u4" if bits == 4 else "u8") // STEP_BYTES) * STEP_BYTES


def is_flat(node: MatMul) -> bool:
    """The right operand is one matrix, for all batches the same."""
    return prod(static(node.b.type.shape)[:-2]) == 1


def fit_nibbles(weights: Ints) -> bool:
    """All lie in −8…7."""
    return weights.size == 0 or bool(weights.min() >= -8 and weights.max() <= 7)


def windowed(rows: Ints, window: Window, block: int, chunk: int) -> Ints:
    """Grouped weights [outputs, taps, depth] over the channels that a block of outputs reads.

    Each block starts at a multiple of `chunk` channels; weights of other groups' channels are 0.
    """
    outputs, taps, depth = rows.shape
    starts = [window_start(window, i * block, chunk) for i in range(-(-outputs // block))]
    lasts = [min(outputs, (i + 1) * block) - 1 for i in range(len(starts))]
    ends = [last // window.each * depth + depth for last in lasts]
    span = max(end - start for start, end in zip(starts, ends, strict=True))
    spread = np.zeros((outputs, taps, -(-span // chunk) * chunk), rows.dtype)
    for output in range(outputs):
        first = output // window.each * depth - starts[output // block]
        spread[output, :, first : first + depth] = rows[output]
    return spread


def window_start(window: Window, output: int, chunk: int) -> int:
    """The first channel that a block of outputs from `output` on reads."""
    return output // window.each * window.depth // chunk * chunk
