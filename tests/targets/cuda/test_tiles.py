"""What a tile asks for is what the device code asks for, and how many fit is counted by hand."""

import shutil
import subprocess
from itertools import product
from pathlib import Path

import pytest

from qcompile.targets import cuda
from qcompile.targets.cuda.devices import A10, A100, CHIPS, H100, L4, ORIN, T4
from qcompile.targets.cuda.tiles import Tile, resident, tiles

DEVICE = Path(cuda.__file__).parent / "device"
BIG = Tile(128, 128, 64, 32, stages=2)
HUGE = Tile(128, 256, 64, 64, stages=2)
MIDDLE = Tile(64, 64, 32, 32, stages=2)
LEAST = Tile(32, 32, 32, 32, stages=2)
WIDTHS = ((8, 8), (4, 4), (8, 4))

PROBLEM = """
struct P{index} {{
    static constexpr int ARCH = {arch}, BITS = {bits}, WEIGHT_BITS = {weight_bits};
    static constexpr int BM = {tile.bm}, BN = {tile.bn}, WM = {tile.wm}, WN = {tile.wn};
    static constexpr int STAGES = {tile.stages};
    static constexpr int M = 300, N = 256, N_STORED = 256, K_BYTES = 256, SPLITS = 1, WORD = 16;
}};
static_assert(qc::threads<P{index}>() == {tile.threads}, "threads");
static_assert(qc::shared_bytes<P{index}>() == {shared}, "shared");
"""


def problem(index: int, arch: int, tile: Tile, widths: tuple[int, int]) -> str:
    bits, weight_bits = widths
    shared = tile.shared_bytes(bits=bits, weight_bits=weight_bits)
    return PROBLEM.format(
        index=index, arch=arch, tile=tile, bits=bits, weight_bits=weight_bits, shared=shared,
    )  # fmt: skip


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++ to read the device headers")
@pytest.mark.parametrize(("arch", "chip"), [(75, T4), (80, A100)], ids=["sm_75", "sm_80"])
def test_threads_and_shared_memory_are_those_of_the_device_code(arch, chip, tmp_path):
    cases = enumerate(product(tiles(chip), WIDTHS))
    texts = [problem(i, arch, tile, widths) for i, (tile, widths) in cases]
    source = tmp_path / "facts.cpp"
    source.write_text('#include "qc_tile.cuh"\n' + "".join(texts))
    flags = ["-std=c++17", "-DQC_EMU", "-w", "-fsyntax-only"]
    folders = [f"-I{DEVICE}", f"-I{DEVICE.parent / 'emulator'}"]
    run = subprocess.run(["g++", *flags, *folders, source], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize(
    ("tile", "registers"), [(BIG, 128), (HUGE, 208), (MIDDLE, 96), (LEAST, 112)], ids=str
)
def test_registers_are_sums_operands_copies_and_36_more_in_eights(tile, registers):
    assert tile.registers == registers


@pytest.mark.parametrize(
    ("tile", "held", "why"),
    [
        (BIG, 2, "2 x 256 x 128 registers, 2 x 32 KiB"),
        (HUGE, 1, "256 x 208 registers, 48 KiB"),
        (MIDDLE, 4, "4 x 16 KiB, registers for 5"),
        (LEAST, 8, "8 x 8 KiB, registers for 18"),
    ],
    ids=str,
)
def test_a_t4_holds_as_many_blocks_as_its_scarcest_resource(tile, held, why):
    shared = tile.shared_bytes(bits=8, weight_bits=8)
    assert resident(T4, tile, shared_bytes=shared) == held, why


def test_shared_memory_is_handed_out_in_units():
    assert resident(T4, LEAST, shared_bytes=65536 // 8 + 1) == 7


@pytest.mark.parametrize("shared", [65536 + 1, 1 << 20])
def test_a_block_that_wants_more_than_a_block_may_have_does_not_fit(shared):
    assert resident(T4, LEAST, shared_bytes=shared) == 0


def test_a_block_without_shared_memory_is_held_as_often_as_blocks_are_counted():
    assert resident(T4, LEAST, shared_bytes=1) == T4.blocks_per_sm


def test_packed_weights_take_half_the_room():
    assert BIG.step_bytes(bits=8, weight_bits=4) == 128 * 64 + 128 * 32


def test_a_t4_stages_through_registers_alone():
    assert {tile.stages for tile in tiles(T4)} == {2}


@pytest.mark.parametrize("chip", [A10, A100, ORIN, L4, H100], ids=lambda chip: chip.name)
def test_later_chips_copy_in_the_background(chip):
    assert {tile.stages for tile in tiles(chip)} == {3, 4}


@pytest.mark.parametrize("chip", CHIPS.values(), ids=CHIPS)
def test_every_chip_holds_some_tile_with_every_width(chip):
    held = [
        resident(chip, t, shared_bytes=t.shared_bytes(bits=8, weight_bits=8)) for t in tiles(chip)
    ]
    assert max(held) >= 4


@pytest.mark.parametrize("chip", CHIPS.values(), ids=CHIPS)
def test_tiles_have_different_names(chip):
    assert len({tile.name for tile in tiles(chip)}) == len(tiles(chip))
