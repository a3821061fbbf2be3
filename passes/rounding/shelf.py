"""Values of all samples, in files where memory would not hold them.

A layer is rounded behind layers already rounded, for all samples at once, so what every sample has
at that layer must wait somewhere. One file without a name holds one node's values: the system
writes pages out and reads them again as it has room, and drops the file with its last value.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from qcompile.ir.types import Array
from qcompile.passes.correct_bias import Pair

ALIGNED = 64


def in_memory(pairs: Iterable[Pair]) -> list[Pair]:
    """The pairs as they are."""
    return list(pairs)


def on_shelf(pairs: Iterable[Pair]) -> list[Pair]:
    """The same values, read-only, in one temporary file; what already lies in one stays there."""
    with TemporaryFile() as file:
        written = [(_put(file, pair.real), _put_other(file, pair)) for pair in pairs]
        file.flush()
        size = file.tell()
        whole = np.memmap(file, np.uint8, "r") if size else np.empty(0, np.uint8)
    return [_pair(whole, real, other) for real, other in written]


def _put(file: IO[bytes], value: Array) -> Array | _Span:
    if _is_mapped(value) or not value.size:
        return value
    file.write(bytes(-file.tell() % ALIGNED))
    start = file.tell()
    file.write(np.ascontiguousarray(value).data)
    return _Span(start, value)


def _put_other(file: IO[bytes], pair: Pair) -> Array | _Span | None:
    """None where both are one."""
    return None if pair.quantized is pair.real else _put(file, pair.quantized)


class _Span:
    """Where a value lies in the file."""

    def __init__(self, start: int, value: Array) -> None:
        self.start, self.bytes = start, value.nbytes
        self.shape, self.kind = value.shape, value.dtype

    def cut(self, whole: NDArray[Any]) -> Array:
        part = whole[self.start : self.start + self.bytes]
        return part.view(self.kind).reshape(self.shape).view(np.ndarray)


def _pair(whole: NDArray[Any], real: Array | _Span, other: Array | _Span | None) -> Pair:
    first = real.cut(whole) if isinstance(real, _Span) else real
    if other is None:
        return Pair(first, first)
    return Pair(first, other.cut(whole) if isinstance(other, _Span) else other)


def _is_mapped(value: object) -> bool:
    """True for a view into a file."""
    if isinstance(value, np.ndarray):
        return _is_mapped(value.base)
    return isinstance(value, mmap.mmap)
