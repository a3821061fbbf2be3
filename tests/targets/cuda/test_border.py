"""Halos filled by generated code, against numpy."""

from collections.abc import Mapping
from math import prod
from pathlib import Path

import numpy as np
import pytest

from qcompile.program.program import Buffer
from qcompile.targets.cuda.border import Border, border_of, border_source, unit_bytes, units
from qcompile.targets.cuda.emulator import Emulator, emulator_library
from qcompile.targets.loops.draft import Value
from qcompile.targets.loops.layout import Layout

BORDERS: Mapping[str, Border] = {
    "image": Border("u8", (2, 9, 8, 32), (0, 1, 1, 0), (0, 2, 1, 0), 7),
    "three_pixels": Border("u8", (1, 7, 6, 4), (0, 3, 2, 0), (0, 0, 1, 0), 128),
    "odd": Border("u8", (3, 5, 7), (0, 1, 2), (1, 1, 0), 255),
    "channels": Border("i8", (4, 6, 16), (1, 0, 3), (0, 2, 6), -5),
    "nibbles": Border("u4", (1, 6, 6, 32), (0, 1, 1, 0), (0, 1, 1, 0), 9),
    "signed_nibbles": Border("i4", (2, 4, 5, 64), (0, 2, 0, 0), (0, 0, 1, 0), -3),
    "inner_nibbles": Border("u4", (3, 32), (0, 2), (0, 6), 5),
    "floats": Border("f32", (2, 5, 5), (0, 1, 1), (0, 1, 1), 0.1),
    "words": Border("i32", (6, 4), (2, 0), (1, 0), -(1 << 30)),
    "long_words": Border("i64", (5, 3), (1, 1), (1, 0), -(1 << 40)),
    "five_axes": Border("i16", (2, 3, 4, 3, 8), (0, 1, 0, 1, 0), (0, 0, 2, 1, 0), -300),
}
STORED = {"u8": np.uint8, "i8": np.int8, "f32": np.float32, "i32": np.int32, "i64": np.int64,
          "i16": np.int16, "u4": np.uint8, "i4": np.uint8}  # fmt: skip


def text(name: str, border: Border) -> str:
    return f"""#include "qc_values.cuh"
{border_source(border, f"fill_{name}")}
extern "C" __global__ void {name}(void* out) {{
    const unsigned unit = blockIdx.x * 64 + threadIdx.x;
    if (unit < {units(border)}u) fill_{name}(out, unit);
}}
QC_KERNEL({name})
"""


@pytest.fixture(scope="module")
def emulator(emulator_cache: Path) -> Emulator:
    texts = "\n".join(text(name, border) for name, border in BORDERS.items())
    path = emulator_library({"borders": texts}, cache=emulator_cache, flags=("-O0",))
    return Emulator(path)


def elements(border: Border, stored: np.ndarray) -> np.ndarray:  # pyright: ignore
    """One entry for each element."""
    if border.elem not in ("u4", "i4"):
        return stored.reshape(border.extents)
    return np.stack([stored & 15, stored >> 4], axis=-1).reshape(border.extents)


@pytest.mark.parametrize("name", BORDERS)
def test_the_halo_and_nothing_else_is_filled(name: str, emulator: Emulator):
    border = BORDERS[name]
    packed = border.elem in ("u4", "i4")
    count = prod(border.extents) // 2 if packed else prod(border.extents)
    stored = np.full(count, 0x11 if packed else 1, STORED[border.elem])
    emulator.launch(name, grid=(-(-units(border) // 64),), block=(64,), arrays=[stored])
    fill = int(border.fill) & 15 if packed else border.fill
    want = np.full(border.extents, fill, STORED[border.elem])
    inside = zip(border.extents, border.before, border.after, strict=True)
    want[tuple(slice(b, n - a) for n, b, a in inside)] = 1
    np.testing.assert_array_equal(elements(border, stored), want)


def test_whole_pixels_are_filled_16_bytes_at_a_time():
    assert unit_bytes(BORDERS["image"]) == 16
    assert unit_bytes(BORDERS["nibbles"]) == 16
    assert unit_bytes(BORDERS["three_pixels"]) == 4


def test_the_padding_of_the_innermost_axis_belongs_to_its_halo():
    layout = Layout((5, 20), (0, 1), ((0, 0), (3, 2)), 32)
    border = border_of(Value(Buffer("x", 400), layout, "u8", 4))
    assert border == Border("u8", (5, 32), (0, 3), (0, 9), 4)


def test_a_halo_that_begins_inside_a_byte_is_our_mistake():
    with pytest.raises(AssertionError, match="inside a byte"):
        units(Border("u4", (3, 32), (0, 1), (0, 1), 0))
