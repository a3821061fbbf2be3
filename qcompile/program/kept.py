"""Constants that a target's own files hold: where, and in which order, so none is stored twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from qcompile.ir.blob import Blob, mapped_blob
from qcompile.ir.types import Array
from qcompile.numerics.packing import packed_size, unpack
from qcompile.program.places import Places

AT_ONCE = 1 << 22  # elements put in order at a time


@dataclass(frozen=True, slots=True)
class Plane:
    """Some bits of every element, packed from byte `offset` of the file on."""

    offset: int
    bits: int


@dataclass(frozen=True)
class Kept:
    """Element i is Σ over planes p[place(i)] · 2^(bits of the planes before), less `less`.

    place(i) = Σ over axes places[a][i_a], and i itself, row-major, where `places` is empty; of
    fewer tables than axes, the last is for all axes that are left. The sum of the planes wraps
    around in the constant's own type; with `signed` its highest bit counts negative.
    One plane with as many bits as the type has is the array's own bytes.
    """

    file: str
    planes: tuple[Plane, ...]
    less: int = 0
    signed: bool = False
    places: tuple[Places, ...] = field(default=(), repr=False)

    def blob(self, folder: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Blob:
        """The constant of this shape and type; `ValueError` when the file is too short for it."""
        count = prod(shape)
        if self.places and count:
            if prod(axis.size for axis in self.places) != count:
                raise ValueError(f"tables for {[a.size for a in self.places]}, not for {shape}")
            count = 1 + sum(int(axis.max()) for axis in self.places)
        size = (folder / self.file).stat().st_size
        for plane in self.planes:
            end = plane.offset + packed_size(count, plane.bits)
            if plane.offset < 0 or end > size:
                raise ValueError(f"{folder / self.file} is too short: it must hold {end} bytes")
        return Blob(shape, dtype, lambda: self._ordered(self._stored(folder, count, dtype), shape))

    def _stored(self, folder: Path, count: int, dtype: np.dtype[Any]) -> Array:
        """The elements as they lie in the file."""
        first = self.planes[0]
        if first.bits == 8 * dtype.itemsize:
            raw = mapped_blob(
                folder / self.file, offset=first.offset, shape=(count,), dtype=dtype
            ).array()
            return raw if self.less == 0 else raw - np.array(self.less % 256).astype(dtype)
        total, before = np.zeros(count, np.int16), 0
        for plane in self.planes:
            size = packed_size(count, plane.bits)
            packed = mapped_blob(
                folder / self.file, offset=plane.offset, shape=(size,), dtype=np.dtype(np.uint8)
            ).array()
            total |= unpack(packed, plane.bits, count, signed=False).astype(np.int16) << before
            before += plane.bits
        if self.signed:
            total -= (total >> (before - 1)) << before
        return (total - self.less).astype(dtype)

    def _ordered(self, flat: Array, shape: tuple[int, ...]) -> Array:
        if not self.places or flat.size == 0:
            return flat.reshape(shape)
        result = np.empty(tuple(axis.size for axis in self.places), flat.dtype)
        first, *others = self.places
        inner = np.zeros((), np.int64)
        for axis in others:
            inner = inner[..., None] + axis.astype(np.int64)
        rows = max(AT_ONCE // max(inner.size, 1), 1)
        for start in range(0, first.size, rows):
            outer = first[start : start + rows].astype(np.int64)
            result[start : start + rows] = flat[np.add.outer(outer, inner)]
        return result.reshape(shape)


def holds(kept: Kept, folder: Path, blob: Blob) -> bool:
    """True when the file has the very elements of the blob where it is said."""
    found = _bytes(kept.blob(folder, blob.shape, blob.dtype).array())
    wanted = _bytes(blob.array())
    starts = range(0, wanted.size, AT_ONCE)
    return all(np.array_equal(found[s : s + AT_ONCE], wanted[s : s + AT_ONCE]) for s in starts)


def _bytes(array: Array) -> Array:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def entry_of(kept: Kept, tables: Sequence[str]) -> dict[str, object]:
    """The index entry; `tables` are the names of the blobs that hold `places`."""
    entry: dict[str, object] = {
        "file": kept.file,
        "planes": [[plane.offset, plane.bits] for plane in kept.planes],
    }
    if kept.less:
        entry["less"] = kept.less
    if kept.signed:
        entry["signed"] = True
    if kept.places:
        entry["places"] = list(tables)
    return entry


def kept_of(entry: Mapping[str, Any], tables: Mapping[str, Blob]) -> Kept:
    """What an index entry says; `tables` are the blobs that it names."""
    name = str(entry["file"])
    if Path(name).name != name:
        raise ValueError(f"{name!r} is no file of the artifact")
    planes = tuple(Plane(int(offset), int(bits)) for offset, bits in entry["planes"])
    if not planes or any(not 1 <= plane.bits <= 64 for plane in planes):
        raise ValueError(f"planes {entry['planes']}")
    places = tuple(np.asarray(tables[str(key)].array()) for key in entry.get("places", ()))
    return Kept(name, planes, int(entry.get("less", 0)), bool(entry.get("signed", False)), places)
