"""Weights are promises of arrays: named by digest, loaded when asked, never kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from typing import BinaryIO, cast

import numpy as np

from qcompile.ir.types import Array


@dataclass(frozen=True, eq=False)
class Blob:
    """An immutable array that `load` gives on demand.

    `load` must give the same array at every call. Blobs are equal when their digests are: the
    SHA-256 over dtype, shape and little-endian bytes.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    load: Callable[[], Array] = field(repr=False)

    @property
    def size(self) -> int:
        """Elements."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes when loaded."""
        return self.size * self.dtype.itemsize

    def array(self) -> Array:
        """The array, read-only."""
        array = self.load()
        if array.shape != self.shape or array.dtype != self.dtype:
            raise AssertionError(
                f"blob promised {self.dtype}{self.shape}, got {array.dtype}{array.shape}"
            )
        view = array.view()
        view.flags.writeable = False
        return view

    @cached_property
    def digest(self) -> str:
        """SHA-256 in hexadecimal over dtype, shape and bytes."""
        state = hashlib.sha256(f"{self.dtype.name}{list(self.shape)}".encode())
        flat = np.ascontiguousarray(self.array()).reshape(-1).view(np.uint8)
        for start in range(0, flat.size, 1 << 24):
            state.update(flat[start : start + (1 << 24)].data)
        return state.hexdigest()

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Blob) and self.digest == other.digest)

    def __hash__(self) -> int:
        return hash(self.digest)


def blob(array: Array) -> Blob:
    """A blob that holds its array in memory."""
    frozen = np.ascontiguousarray(array).reshape(array.shape)
    if frozen is array or frozen.base is not None:
        frozen = frozen.copy()
    frozen.flags.writeable = False
    return Blob(frozen.shape, frozen.dtype, lambda: frozen)


def spilled_blob(source: Blob) -> Blob:
    """A blob computed once: its first load goes to a nameless file, later ones map that file.

    For large arrays that cost more to compute than to read back; the file goes with the process.
    """
    kept: list[BinaryIO] = []
    alone = Lock()  # of threads that ask at once, one computes

    def load() -> Array:
        with alone:
            if not kept:
                kept.append(_spilled(source))
        return np.memmap(kept[0], source.dtype, "r", 0, source.shape)

    return Blob(source.shape, source.dtype, load)


def _spilled(source: Blob) -> BinaryIO:
    file = cast(BinaryIO, TemporaryFile(prefix="qcompile-"))  # noqa: SIM115 - mapped later
    flat = np.ascontiguousarray(source.array()).reshape(-1).view(np.uint8)
    for start in range(0, flat.size, 1 << 24):
        file.write(flat[start : start + (1 << 24)].data)
    file.flush()
    return file


def mapped_blob(
    path: Path, *, offset: int, shape: tuple[int, ...], dtype: np.dtype[np.generic]
) -> Blob:
    """A slice of a file, mapped into memory at each load and unmapped with its last view."""

    def load() -> Array:
        if 0 in shape:
            return np.zeros(shape, dtype)
        return np.memmap(path, dtype, "r", offset, shape)

    return Blob(shape, dtype, load)
