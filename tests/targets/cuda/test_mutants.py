"""A bug planted in a kernel is found by the emulator; the kernel without it is not accused."""

from dataclasses import dataclass

import numpy as np
import pytest

from qcompile.targets.cuda.emulator import EmulationError, Emulator, emulator_library
from tests.targets.cuda import gemm

ORDERS = range(4)
SHAPE = (100, 72, 640)


@dataclass(frozen=True)
class Mutant:
    """A kernel whose header has `old` replaced by `new`."""

    title: str
    kernel: str
    old: str
    new: str

    @property
    def headers(self):
        family = self.kernel.split("_s")[0]
        texts = gemm.headers()
        name = next(name for name in (f"{family}.cuh", "gemm_tile.cuh") if self.old in texts[name])
        return texts | {name: texts[name].replace(self.old, self.new, 1)}


FETCH = "fetch(shared, tile, stage + 2, stages);"
WRONG = [
    Mutant("first barrier dropped", "gemm75_s8", "__syncthreads();  // first stage", ""),
    Mutant("loop's barrier dropped", "gemm75_s4", "__syncthreads();  // next stage", ""),
    Mutant("barrier dropped", "gemm80_s8", "__syncthreads();", ""),
    Mutant("wait too weak", "gemm80_s4", "cp_async_wait<1>", "cp_async_wait<2>"),
    Mutant(
        "fetch before the barrier", "gemm80_s8",
        f"__syncthreads();\n    {FETCH}", f"{FETCH}\n    __syncthreads();",
    ),
    Mutant("wrong buffer", "gemm75_s8", "(stage + 1) & 1", "stage & 1"),
    Mutant("wrong fragment", "gemm80_s8", "k + (lane >> 4)", "k"),
    Mutant("wrong row of a fragment", "gemm75_s8", "place.m + i * 32", "place.m + i * 16"),
    Mutant("reads past A", "gemm75_s8", "m0 + row < m", "true"),
    Mutant("reads past B", "gemm80_s4", "n0 + row - BLOCK_M < n", "true"),
    Mutant("reads past a row", "gemm80_s8", "k < row_bytes", "k <= row_bytes"),
    Mutant("writes past D", "gemm75_s4", "row >= m ||", ""),
    Mutant("writes past a row", "gemm80_s8", "if (column + 1 < n)", ""),
    Mutant("misaligned rows", "gemm80_s8", "<< 4);", "<< 3);"),
    Mutant("past shared memory", "gemm75_s8", "(stage & 1) *", "(stage & 3) *"),
]  # fmt: skip
SLOW = [
    Mutant("no swizzle, Turing", "gemm75_s8", "chunk ^ (row >> 1 & 3)", "chunk"),
    Mutant("no swizzle, Ampere", "gemm80_s4", "chunk ^ (row >> 1 & 3)", "chunk"),
]
UNCHANGED = [Mutant("nothing", kernel, "", "") for kernel in gemm.KERNELS]


def emulator_of(mutant, cache):
    sources = {mutant.kernel: gemm.source(mutant.kernel)}
    return Emulator(emulator_library(sources, cache=cache, includes=mutant.headers))


def findings(mutant, cache):
    """What each order of threads shows: a report, a wrong sum, or nothing."""
    emulator = emulator_of(mutant, cache)
    shapes = (SHAPE, (99, 71, 608))
    return {finding(emulator, mutant.kernel, shape, order) for shape in shapes for order in ORDERS}


def finding(emulator, kernel, shape, order):
    try:
        sums, expected, _ = gemm.run(emulator, kernel, shape, order)
    except EmulationError as report:
        return str(report).split(": ", 1)[1]
    return "right" if np.array_equal(sums, expected) else "wrong sums"


def conflicts(mutant, cache):
    *_, stats = gemm.run(emulator_of(mutant, cache), mutant.kernel, SHAPE, 0)
    return stats.matrix_conflicts + stats.access_conflicts


@pytest.mark.parametrize("mutant", WRONG, ids=lambda mutant: mutant.title)
def test_a_wrong_kernel_is_found(mutant, emulator_cache):
    assert findings(mutant, emulator_cache) != {"right"}


@pytest.mark.parametrize("kernel", UNCHANGED, ids=lambda kernel: kernel.kernel)
def test_a_right_kernel_is_not_accused(kernel, emulator_cache):
    assert findings(kernel, emulator_cache) == {"right"}


@pytest.mark.parametrize("mutant", SLOW, ids=lambda mutant: mutant.title)
def test_bank_conflicts_are_counted(mutant, emulator_cache):
    assert conflicts(mutant, emulator_cache) > 0


@pytest.mark.parametrize("kernel", UNCHANGED, ids=lambda kernel: kernel.kernel)
def test_swizzled_rows_meet_no_bank_conflict(kernel, emulator_cache):
    assert conflicts(kernel, emulator_cache) == 0
