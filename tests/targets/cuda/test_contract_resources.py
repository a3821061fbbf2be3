"""What the contraction template compiles to: registers only, and the instructions of its design."""

from __future__ import annotations

from pathlib import Path

import pytest

from qcompile.targets.cuda.build import Kernel, compile_kernels
from qcompile.targets.cuda.devices import A100, T4, Chip
from qcompile.targets.cuda.gates import check_counts, check_resources, limit, ptx_counts
from tests.targets.cuda.contract_cases import BITS, HEADERS, SHAPES, Case, Images, named, source

CHIPS = {75: T4, 80: A100}
IMAGES = Images(8, 16, 16, 128, window=3, word=64)
QUICK = named(
    [
        Case(75, 4, 4, (128, 128, 64, 32), IMAGES, 128),
        Case(75, 8, 4, (64, 64, 32, 32), IMAGES, 64),
        Case(80, 8, 8, (128, 256, 64, 64), IMAGES, 256),
        Case(80, 8, 4, (64, 128, 32, 64), IMAGES, 128),
        Case(80, 8, 8, (64, 64, 32, 32), Images(8, 30, 30, 4, window=7, word=4), 64),
    ]
)
ALL = named(
    [Case(arch, *bits, shape, IMAGES, 256) for arch in CHIPS for bits in BITS for shape in SHAPES]
)


def title(case: Case) -> str:
    return f"sm{case.arch}-{case.bits}w{case.weight_bits}-{case.tile.name}"


def compiled(case: Case, chip: Chip, cache: Path) -> Kernel:
    sources = {case.name: source(case)}
    return compile_kernels(sources, chip, headers=HEADERS, cache=cache, threads=1)[case.name]


def wanted(case: Case) -> dict[str, int]:
    """One warp's instructions for 64 bytes of k: the loop's body exists once."""
    rows, columns, packed = case.tile.wm // 8, case.tile.wn // 8, case.weight_bits < case.bits
    products = 4 * rows * columns if case.arch == 75 else rows * columns
    matrices = rows + columns // (2 if packed else 1)
    return {"mma.sync": products, "ldmatrix": matrices, "ld.local": 0, "st.local": 0}


def check(case: Case, chip: Chip, cache: Path) -> None:
    kernel = compiled(case, chip, cache)
    check_resources(kernel, limit(chip, threads=case.tile.threads))
    check_counts(case.name, ptx_counts(kernel.ptx), wanted(case))


@pytest.mark.parametrize("case", QUICK, ids=title)
def test_sums_stay_in_registers(case: Case, tmp_path: Path):
    check(case, CHIPS[case.arch], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("case", ALL, ids=title)
def test_sums_stay_in_registers_for_every_tile(case: Case, tmp_path: Path):
    check(case, CHIPS[case.arch], tmp_path)
