"""Weights that onnxruntime keeps in few bits and blocks (com.microsoft), read as reals.

A value is (q − zero) · scale, one scale and one zero for each `block_size` values of a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.frontends.onnx_call import Call, Opaque, Translator
from qcompile.ir.blob import Blob
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.source import Const
from qcompile.ir.types import Array, Scalar


@dataclass(frozen=True)
class Blocks:
    """How rows of `length` numbers lie: packed low bits first, in blocks of `size`."""

    rows: int
    length: int
    size: int
    bits: int

    @property
    def count(self) -> int:
        """Blocks in a row; the last may be short."""
        return -(-self.length // self.size)

    def numbers(self, packed: NDArray[Any], per_row: int) -> NDArray[np.int64]:
        """[rows, per_row] of numbers; each row begins with a byte of its own."""
        row = packed.astype(np.uint8).reshape(self.rows, -1)
        places = 8 // self.bits
        shifts = np.arange(places, dtype=np.uint8) * np.uint8(self.bits)
        apart = (row[:, :, None] >> shifts) & np.uint8((1 << self.bits) - 1)
        return apart.reshape(self.rows, -1)[:, :per_row].astype(np.int64)


def _matmul_n_bits(call: Call) -> Node:
    """x @ wᵀ + bias."""
    blocks = Blocks(
        call.integer("N"), call.integer("K"), call.integer("block_size"), call.integer("bits", 4)
    )
    if blocks.bits not in (2, 4, 8) or call.maybe(4) is not None:
        raise Opaque("an odd number of bits, or blocks in another order")
    packed, scale = call.const(1), call.const(2)
    zero = call.const(3) if call.maybe(3) is not None else None
    elem = scale.elem

    def load() -> Array:
        return _reals(blocks, packed, scale, zero).astype(elem.storage)

    shape = (blocks.length, blocks.rows)
    w = Const(Blob(shape, elem.storage, load), elem, name=packed.name)
    return MatMul(call.x(0), w, call.maybe(5))


def _reals(blocks: Blocks, packed: Const, scale: Const, zero: Const | None) -> NDArray[Any]:
    """[length, rows]."""
    shape = (blocks.rows, blocks.count, blocks.size)
    numbers = blocks.numbers(np.asarray(packed.array), blocks.count * blocks.size).reshape(shape)
    scales = np.asarray(scale.array).reshape(blocks.rows, blocks.count, 1)
    match zero:
        case None:
            zeros: Any = 1 << (blocks.bits - 1)
        case Const(elem=Scalar(name="u8")):
            packed_zeros = blocks.numbers(np.asarray(zero.array), blocks.count)
            zeros = packed_zeros[:, :, None]
        case _:
            zeros = np.asarray(zero.array).reshape(scales.shape)
    values = ((numbers - zeros) * scales).reshape(blocks.rows, -1)
    return np.ascontiguousarray(values[:, : blocks.length].T)


BLOCKED: dict[str, Translator] = {"MatMulNBits": _matmul_n_bits}
