"""Nests written by hand, run by the emulator against numpy; and what their texts look like."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qcompile.errors import NotLegal
from qcompile.ir.ops.binary import Add
from qcompile.ir.ops.integer import requantize
from qcompile.ir.ops.pool import MaxPool
from qcompile.ir.types import I8, I32, U8
from qcompile.ir.unit import per_tensor
from qcompile.targets.cuda.arrays import Array
from qcompile.targets.cuda.border import Border
from qcompile.targets.cuda.emulator import Emulator, emulator_library
from qcompile.targets.cuda.finish import finish_source
from qcompile.targets.cuda.nest_kernel import KernelSource, nest_kernel
from qcompile.targets.loops import expr as e
from qcompile.targets.loops.nest import Also, Nest, Table, View
from tests.golden import Golden
from tests.targets.cuda.checks import case
from tests.targets.cuda.value_cases import U4, residual
from tests.targets.tvm.checks import given, graph_of

BYTE = e.load(0, "i32", lo=0, hi=255)


def mapped(x: e.Expr, *views: View, out: View, outer: tuple[int, ...], exact: bool = False) -> Nest:
    """A nest without a reduction, eight lanes."""
    return Nest(outer, (), views, out, None, "", None, x, 8, exact)


# 6 rows of 21 bytes (32 are stored) inside a halo of a row and 16 elements: as bytes, as nibbles
TWO = replace(
    mapped(
        e.clip(e.sub(e.imm(300), BYTE), 0, 255),
        View("u8", (32, 8), 1),
        out=View("u8", (64, 8), 1, 64 + 16),
        outer=(6, 21),
    ),
    also=(
        Also(
            View("u4", (64, 8), 1, 64 + 16),
            e.clip(e.Binary(0, 31, "i32", "shr", BYTE, e.imm(3)), 0, 15),
        ),
    ),
)
AROUND = Border("u8", (8, 64), (1, 16), (1, 16), 7)
RAGGED = mapped(
    e.load(0, "u8"), View("u8", (13, 8), 1), out=View("u8", (13, 8), 1), outer=(5, 13), exact=True
)
LOOKED_UP = mapped(
    e.load(0, "i32"),
    View("i32", (40, 0), Table(1)), View("i32", (0, 0), 0),
    out=View("i32", (24, 8), 1), outer=(3, 19),
)  # fmt: skip
HUGE = mapped(
    e.load(0, "u8"), View("u8", (1 << 30, 8), 1), out=View("u8", (16, 8), 1), outer=(3, 16)
)

KERNELS: dict[str, KernelSource] = {
    "two": nest_kernel(TWO, "two", comment="", borders=(AROUND, replace(AROUND, elem="u4"))),
    "ragged": nest_kernel(RAGGED, "ragged", comment="", arrays=(Array(1, True), Array(1, True))),
    "looked_up": nest_kernel(LOOKED_UP, "looked_up", comment=""),
}


@pytest.fixture(scope="module")
def emulator(emulator_cache: Path) -> Emulator:
    texts = {name: kernel.text for name, kernel in KERNELS.items()}
    return Emulator(emulator_library(texts, cache=emulator_cache, flags=("-O0",)))


def launched(emulator: Emulator, name: str, *arrays: np.ndarray) -> None:  # pyright: ignore
    kernel = KERNELS[name]
    emulator.launch(name, grid=(kernel.grid,), block=(kernel.block,), arrays=arrays)


def unpacked(nibbles: np.ndarray) -> np.ndarray:  # pyright: ignore
    return np.stack([nibbles & 15, nibbles >> 4], axis=-1).reshape(*nibbles.shape[:-1], -1)


def test_two_results_and_their_halos_in_one_launch(emulator: Emulator):
    x = np.random.default_rng(0).integers(0, 256, (7, 32)).astype(np.uint8)
    bytes_, nibbles = np.zeros((8, 64), np.uint8), np.zeros((8, 32), np.uint8)
    launched(emulator, "two", x, bytes_, nibbles)
    found = unpacked(nibbles)
    np.testing.assert_array_equal(bytes_[1:7, 16:37], np.clip(300 - x[:6, :21].astype(int), 0, 255))
    np.testing.assert_array_equal(found[1:7, 16:37], np.minimum(x[:6, :21] >> 3, 15))
    around = np.ones((8, 64), bool)
    around[1:7, 16:48] = False
    assert (bytes_[around] == 7).all()
    assert (found[around] == 7).all()


def test_nothing_is_touched_beyond_an_array_of_the_callers(emulator: Emulator):
    """Arrays end at a page that may not be touched."""
    x = np.random.default_rng(0).integers(0, 256, (5, 13)).astype(np.uint8)
    found = np.zeros_like(x)
    launched(emulator, "ragged", x, found)
    np.testing.assert_array_equal(found, x)


def test_lanes_at_places_of_a_table(emulator: Emulator):
    rng = np.random.default_rng(0)
    x, found = rng.integers(-99, 99, (3, 40)).astype(np.int32), np.zeros((3, 24), np.int32)
    places = np.zeros(32, np.int32)
    places[:19] = rng.integers(0, 40, 19)
    launched(emulator, "looked_up", x, places, found)
    np.testing.assert_array_equal(found[:, :19], x[:, places[:19]])


def test_addresses_of_64_bits_only_where_32_do_not_suffice():
    text = nest_kernel(HUGE, "huge", comment="").text
    assert "const long long at0 = (long long)i0 * 1073741824 + (long long)block * 8;" in text
    assert "const int to = i0 * 16 + block * 8;" in text


def test_equal_formats_are_copied_in_words():
    copy = mapped(
        e.load(0, "u8"), View("u8", (16, 8), 1), out=View("u8", (32, 8), 1), outer=(3, 16)
    )
    assert "qc::store<8>(out, to, x0);" in nest_kernel(copy, "copy", comment="").text


def test_an_array_of_the_callers_is_read_as_it_is_aligned():
    copy = mapped(
        e.load(0, "u8"), View("u8", (16, 8), 1), out=View("u8", (32, 8), 1), outer=(3, 16)
    )
    text = nest_kernel(copy, "copy", comment="", arrays=(Array(4, True), Array())).text
    assert "qc::load<qc::u8, 8, 4>(v0, at0)" in text


def test_too_many_blocks_are_refused():
    nest = mapped(e.load(0, "u8"), View("u8", (0, 8), 1), out=View("u8", (8, 8), 1), outer=(8, 8))
    with pytest.raises(NotLegal, match="too many"):
        nest_kernel(replace(nest, outer=(1 << 32, 8)), "many", comment="")


# what a reader sees


def test_the_text_of_a_map_with_a_residual(golden: Golden):
    fine, limit = per_tensor(0.001), 1 << 30
    x, y = given(6, 40), given(6, 40, elem=I8).replace(name="y")
    left, right = (requantize(v, I32, fine, lo=-limit, hi=limit) for v in (x, y))
    total = requantize(Add(left, right), U4, per_tensor(0.4), lo=0, hi=15)
    golden.same("cuda/map.cu", case("residual", graph_of(total)).kernels[0].text)


def test_the_text_of_a_pool(golden: Golden):
    pool = MaxPool(given(1, 32, 9, 7), (3, 3), (2, 2), (1, 1, 1, 1), (1, 1))
    source = case("pool", graph_of(pool)).kernels[1]
    golden.same("cuda/pool.cu", source.text)


def test_the_text_of_a_finish(golden: Golden):
    step = case("finish", residual(U8), lanes=16).lowered.steps[1]
    finish = finish_source(step.nest)
    text = f"{finish.members}\n\n{finish.method}\n\n// Problem{{{finish.arguments}}}\n"
    golden.same("cuda/finish.cu", text)
