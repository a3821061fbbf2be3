"""weights.bin: arrays as the kernels read them, and narrow constants that the library spreads.

A constant of fewer bits than its kernel's elements lies in the file in the graph's order, packed,
with its groups' steps and its channels' scales; the library writes it into memory, in the kernel's
order, when it opens the file. All else is mapped from the file as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.ir.ops.source import Const
from qcompile.numerics.packing import pack, packed_size
from qcompile.program.kept import Kept, Plane
from qcompile.program.places import Places, places_of, summed
from qcompile.targets.loops.draft import Origin, Stored, Weights
from qcompile.targets.loops.keeping import LEAST, kept_array
from qcompile.targets.whole_weights import narrow_form

WEIGHTS = "weights.bin"
ELEMS: Mapping[str, str] = {"int8": "i8", "uint8": "u8", "int16": "i16", "float32": "f32"}
WORTH = 8  # one part in so many of an array must be saved for it to be packed
Ints = NDArray[Any]


@dataclass(frozen=True)
class Spread:
    """How the library writes one array of memory: `count` elements of `elem` from byte `to` on.

    Element i of the constant, row-major, is code i of `bits` bits from byte `source` on, less
    `less`, times its group's step, times its channel's scale if the kernel multiplies reals; it
    goes to place Σ over axes tables[a][i_a]. `tables`, `steps` (a byte for each `group` elements of
    a channel) and `scales` (f32) are bytes of the file, −1 where there are none. `axis` is that of
    the channels.
    """

    elem: str
    to: int
    count: int
    source: int
    bits: int
    less: int
    shape: tuple[int, ...]
    tables: tuple[int, ...]
    axis: int
    group: int
    steps: int
    scales: int


@dataclass(frozen=True)
class WeightsFile:
    """The file's parts; where each array is: in the file or in memory; constants in the file.

    `memory`: bytes that the library takes for what it spreads, `unpacked_weight_bytes` in the
    manifest.
    """

    parts: Sequence[bytes]
    mapped: Mapping[Stored, int]
    unpacked: Mapping[Stored, int]
    spreads: Sequence[Spread]
    memory: int
    kept: Mapping[str, Kept]


def weights_file(weights: Weights) -> WeightsFile:
    """Lays the file out; what is not worth spreading stays in the kernel's order."""
    file, several = _File(), _several(weights)
    for stored, data in zip(weights.known.values(), weights.parts, strict=True):
        origin, kind = weights.origins.get(stored, (None, None))
        if origin is None or kind is None:
            file.map(stored, data)
        elif not file.spread(stored, data, origin, kind, several):
            file.map(stored, data)
            file.keep(stored, origin)
    return WeightsFile(
        file.out.parts, file.mapped, file.unpacked, file.spreads, file.memory, file.kept
    )


def _several(weights: Weights) -> frozenset[str]:
    """Digests of constants of which several arrays are made."""
    seen = Counter(narrow_form(o.const).data.digest for o, _ in weights.origins.values())
    return frozenset(digest for digest, count in seen.items() if count > 1)


@dataclass
class _File:
    """The file as it grows."""

    out: Weights = field(default_factory=Weights)
    mapped: dict[Stored, int] = field(default_factory=dict[Stored, int])
    unpacked: dict[Stored, int] = field(default_factory=dict[Stored, int])
    spreads: list[Spread] = field(default_factory=list[Spread])
    memory: int = 0
    kept: dict[str, Kept] = field(default_factory=dict[str, Kept])

    def map(self, stored: Stored, data: bytes) -> None:
        """The array as it is."""
        where = self.out.put(np.frombuffer(data[: stored.nbytes], np.uint8))
        self.mapped[stored] = where.offset

    def keep(self, stored: Stored, origin: Origin) -> None:
        """The constant is found in the array, if that holds all of it in its own type."""
        kept = kept_array(WEIGHTS, self.mapped[stored], stored.nbytes, origin)
        if kept is not None:
            self.kept.setdefault(origin.const.data.digest, kept)

    def spread(
        self, stored: Stored, data: bytes, origin: Origin, kind: np.dtype[Any],
        several: frozenset[str],
    ) -> bool:  # fmt: skip
        """Stores the constant packed; not where that is no gain, or not what the kernel reads."""
        narrow = narrow_form(origin.const)
        if kind.name not in ELEMS or narrow.type.unit is None or narrow.elem.bits > 8:
            return False
        packed = packed_size(narrow.data.size, narrow.elem.bits)
        saved = stored.nbytes - packed
        once = saved * WORTH < stored.nbytes and narrow.data.digest not in several
        if once or narrow.data.nbytes < LEAST:
            return False
        places, count = places_of(narrow.data.shape, origin.arrange), stored.nbytes // kind.itemsize
        if places is None or not _apart(narrow, places):
            return False
        if not data.startswith(_written(narrow, kind, places, count)):
            return False
        self._add(stored, narrow, kind, places)
        return True

    def _add(
        self, stored: Stored, narrow: Const, kind: np.dtype[Any], places: tuple[Places, ...]
    ) -> None:
        unit, bits = narrow.type.unit, narrow.elem.bits
        assert unit is not None
        elem, more = ELEMS[kind.name], -narrow.elem.lo
        source = self.out.put(pack((narrow.array.astype(np.int16) + more).astype(np.uint8), bits))
        steps = np.frombuffer(unit.steps, np.uint8)
        scales = np.array(unit.scale, np.float32)
        found = Spread(
            elem=elem,
            to=self.memory,
            count=stored.nbytes // kind.itemsize,
            source=source.offset,
            bits=bits,
            less=more + unit.zero_point[0],
            shape=tuple(table.size for table in places),
            tables=tuple(self.out.put(table).offset for table in places),
            axis=-1 if unit.axis is None else unit.axis,
            group=unit.group or 0,
            steps=self.out.put(steps).offset if unit.steps else -1,
            scales=self.out.put(scales).offset if elem == "f32" else -1,
        )
        self.kept[narrow.data.digest] = Kept(WEIGHTS, (Plane(source.offset, bits),), more)
        self.unpacked[stored] = self.memory
        self.memory += -(-stored.nbytes // 64) * 64 + 64
        self.spreads.append(found)


def _apart(narrow: Const, places: tuple[Places, ...]) -> bool:
    """The channels' axis has a table of its own."""
    unit = narrow.type.unit
    merged = len(places) < len(narrow.data.shape)
    return unit is None or not merged or (unit.axis or 0) < len(places) - 1


def _written(narrow: Const, kind: np.dtype[Any], places: tuple[Places, ...], count: int) -> bytes:
    """What the library writes, by the same operations."""
    unit = narrow.type.unit
    assert unit is not None
    values: Ints = narrow.array.astype(np.int32) - unit.zero_point[0]
    if unit.group is not None:
        values = values * unit.step_of_each(narrow.data.shape)
    if kind == np.float32:
        values = values.astype(np.float32) * unit.scales(values.ndim).astype(np.float32)
    target = np.zeros(count, kind)
    where = summed(places).reshape(-1)
    target[where[where >= 0]] = values.reshape(-1)[where >= 0].astype(kind)
    return target.tobytes()
