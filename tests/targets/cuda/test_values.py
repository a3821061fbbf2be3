"""The arithmetic of the device header in the emulator, against exact integers."""

from pathlib import Path

import numpy as np
import pytest

from qcompile.targets.cuda.emulator import Emulator, emulator_library

SHIFTS = (0, 1, 31, 32, 40, 62)
RANGES = {"u4": (0, 15), "i4": (-8, 7), "u8": (0, 255), "i8": (-128, 127)}


def rescales(shift: int) -> str:
    return f"""extern "C" __global__ void rescale{shift}(
    const int* x, const int* m, int* y, int* z) {{
    const int i = threadIdx.x;
    y[i] = qc::rescale<{shift}>(x[i], m[i], {(1 << shift) >> 1}ll);
    z[i] = qc::rescale_wide<{shift}>(x[i], m[i], 77, -2147483647 - 1, 2147483647);
}}
QC_KERNEL(rescale{shift})
"""


def packs(elem: str) -> str:
    return f"""extern "C" __global__ void pack_{elem}(
    const int* x, int* held, int* cut, unsigned char* memory) {{
    int values[16];
    for (int i = 0; i < 16; ++i) values[i] = x[threadIdx.x * 16 + i];
    qc::store_held<qc::{elem}, 16, 8>(memory, threadIdx.x * 16, values);
    const auto one = qc::load<qc::{elem}, 16, 4>(memory, threadIdx.x * 16);
    for (int i = 0; i < 16; ++i) held[threadIdx.x * 16 + i] = one[i];
    qc::store_cut<qc::{elem}, 16, 4>(memory, threadIdx.x * 16, values);
    const auto each = qc::gather<qc::{elem}, 16>(memory, threadIdx.x * 16, 1);
    for (int i = 0; i < 16; ++i) cut[threadIdx.x * 16 + i] = each[i];
}}
QC_KERNEL(pack_{elem})
"""


OTHERS = """extern "C" __global__ void quotients(
    const long long* a, const long long* b, long long* y, int* z) {
    const int i = threadIdx.x;
    y[i] = qc::quotient(a[i], b[i]);
    z[i] = qc::quotient((int)a[i], (int)b[i]);
}
QC_KERNEL(quotients)
extern "C" __global__ void wholes(const float* x, int* y) {
    y[threadIdx.x] = qc::whole(x[threadIdx.x], -100, 155);
}
QC_KERNEL(wholes)
"""


@pytest.fixture(scope="module")
def emulator(emulator_cache: Path) -> Emulator:
    text = "\n".join(
        ('#include "qc_values.cuh"', *map(rescales, SHIFTS), *map(packs, RANGES), OTHERS)
    )
    return Emulator(emulator_library({"values": text}, cache=emulator_cache, flags=("-O0",)))


def test_quotients_are_cut_toward_zero_and_never_trap(emulator: Emulator):
    a = np.array([7, -7, 7, -7, 5, -(1 << 31), 0, 9], np.int64)
    b = np.array([2, 2, -2, -2, 0, -1, 3, 1], np.int64)
    y, z = np.zeros(8, np.int64), np.zeros(8, np.int32)
    emulator.launch("quotients", grid=(1,), block=(8,), arrays=[a, b, y, z])
    assert y.tolist() == [3, -3, -3, 3, 5, 1 << 31, 0, 9]
    assert z.tolist() == [3, -3, -3, 3, 5, -(1 << 31), 0, 9]


def test_reals_become_whole_by_half_to_even(emulator: Emulator):
    x = np.array([0.5, 1.5, -0.5, -2.5, np.nan, np.inf, -np.inf, 154.6], np.float32)
    y = np.zeros(8, np.int32)
    emulator.launch("wholes", grid=(1,), block=(8,), arrays=[x, y])
    assert y.tolist() == [0, 2, 0, -2, 0, 155, -100, 155]


@pytest.mark.parametrize("shift", SHIFTS)
def test_products_are_shifted_half_up_in_64_bits(shift: int, emulator: Emulator):
    rng = np.random.default_rng(shift)
    x = rng.integers(-(1 << 31), 1 << 31, 64).astype(np.int32)
    m = rng.integers(0, 1 << 31, 64).astype(np.int32)
    y, z = np.zeros(64, np.int32), np.zeros(64, np.int32)
    emulator.launch(f"rescale{shift}", grid=(1,), block=(64,), arrays=[x, m, y, z])
    exact = [(int(a) * int(b) + ((1 << shift) >> 1)) >> shift for a, b in zip(x, m, strict=True)]
    low = np.array([v & 0xFFFFFFFF for v in exact], np.uint32).view(np.int32)
    np.testing.assert_array_equal(y, low)
    np.testing.assert_array_equal(z, [min(max(v + 77, -(1 << 31)), (1 << 31) - 1) for v in exact])


@pytest.mark.parametrize("elem", RANGES)
def test_values_are_held_or_cut_and_read_back(elem: str, emulator: Emulator):
    lo, hi = RANGES[elem]
    x = np.random.default_rng(0).integers(-400, 400, (8, 16)).astype(np.int32)
    x[0] = [-(1 << 31), (1 << 31) - 1, lo, hi, lo - 1, hi + 1, *range(10)]
    held, cut, memory = np.zeros_like(x), np.zeros_like(x), np.zeros(128, np.uint8)
    emulator.launch(f"pack_{elem}", grid=(1,), block=(8,), arrays=[x, held, cut, memory])
    np.testing.assert_array_equal(held, np.clip(x, lo, hi))
    np.testing.assert_array_equal(cut, (x - lo) % (hi - lo + 1) + lo)
