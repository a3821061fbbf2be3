"""Contractions small enough to try: a case gives its kernel, its operands and numpy's result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from qcompile.targets.cuda.emulator import Emulator, Stats, device_headers
from qcompile.targets.cuda.packing import RUN, depth_bytes, pack_weights
from qcompile.targets.cuda.tiles import Tile

Ints = NDArray[Any]
GARBAGE = 0x5A5A5A5A

HEADERS = device_headers()

SHAPES = (
    (128, 128, 64, 32),
    (128, 256, 64, 64),
    (128, 64, 32, 32),
    (64, 128, 32, 64),
    (64, 64, 32, 32),
    (64, 32, 32, 32),
    (32, 128, 32, 32),
    (32, 64, 32, 32),
    (32, 32, 32, 32),
)
BITS = ((8, 8), (4, 4), (8, 4))  # of the products and of the weights in memory
ARCHS = (75, 80)


@dataclass(frozen=True, slots=True)
class Images:
    """`images` of `height` by `width` places and `channels` elements, seen through windows.

    One by one and of one place each they are the rows of a matrix. `groups` windows of channels are
    read by different tiles of outputs. `word` bytes are fetched behind one address.
    """

    images: int
    height: int
    width: int
    channels: int
    window: int = 1
    stride: int = 1
    groups: int = 1
    word: int = 16

    @property
    def places(self) -> tuple[int, int, int]:
        rows, columns = (
            (size - self.window) // self.stride + 1 for size in (self.height, self.width)
        )
        return self.images, rows, columns

    @property
    def depth(self) -> int:
        """Elements of k, of one group."""
        return self.window * self.window * self.channels


@dataclass(frozen=True, slots=True)
class Case:
    """One contraction of `outputs` channels over images, on one tile."""

    arch: int
    bits: int
    weight_bits: int
    shape: tuple[int, int, int, int]
    images: Images
    outputs: int
    unsigned: bool = True
    splits: int = 1
    stages: int = 3
    name: str = ""

    @property
    def tile(self) -> Tile:
        return Tile(*self.shape, stages=2 if self.arch == 75 else self.stages)

    @property
    def places(self) -> int:
        return prod(self.images.places)

    @property
    def depth_bytes(self) -> int:
        return depth_bytes(self.images.depth, bits=self.bits)

    @property
    def stored(self) -> int:
        return -(-self.outputs // RUN) * RUN

    @property
    def blocks(self) -> int:
        tile = self.tile
        return -(-self.places // tile.bm) * -(-self.outputs // tile.bn) * self.splits

    @property
    def shared_bytes(self) -> int:
        return self.tile.shared_bytes(bits=self.bits, weight_bits=self.weight_bits)


def named(cases: list[Case]) -> list[Case]:
    """The cases with names of kernels."""
    return [replace(case, name=f"contract_{index}") for index, case in enumerate(cases)]


def label(case: Case) -> str:
    """What a test of it is called."""
    images = case.images
    sign = "u" if case.unsigned else "s"
    return (
        f"sm{case.arch}-{sign}{case.bits}w{case.weight_bits}-{case.tile.name}-m{case.places}"
        f"n{case.outputs}k{images.depth}-window{images.window}word{images.word}"
        f"groups{images.groups}splits{case.splits}"
    )


def source(case: Case) -> str:
    """The kernel `case.name`: it stores the sums, [split][place][channel]."""
    images, tile = case.images, case.tile
    per_byte = 8 // case.bits
    pixel = images.groups * images.channels // per_byte
    run = images.channels // per_byte
    _, rows, columns = images.places
    return f"""#include "qc_contract.cuh"
struct Problem_{case.name} {{
  static constexpr int ARCH = {case.arch}, BITS = {case.bits}, WEIGHT_BITS = {case.weight_bits};
  static constexpr bool UNSIGNED = {str(case.unsigned).lower()};
  static constexpr int BM = {tile.bm}, BN = {tile.bn}, WM = {tile.wm}, WN = {tile.wn};
  static constexpr int STAGES = {tile.stages}, M = {case.places}, N = {case.outputs};
  static constexpr int K_BYTES = {case.depth_bytes};
  static constexpr int N_STORED = {case.stored}, SPLITS = {case.splits}, WORD = {images.word};
  int* out;
  static int row(int m) {{
    const int image = m / {rows * columns}, place = m % {rows * columns};
    const int y = place / {columns} * {images.stride}, x = place % {columns} * {images.stride};
    return ((image * {images.height} + y) * {images.width} + x) * {pixel};
  }}
  static int column(int n_tile, int k) {{
    const int tap = k / {run}, y = tap / {images.window}, x = tap % {images.window};
    return (y * {images.width} + x) * {pixel} + n_tile % {images.groups} * {run} + k % {run};
  }}
  void finish(int m, int n, int split, bool inside, const int (&sums)[qc::RUN]) const {{
    if (!inside) return;
    int* const to = out + (split * M + m) * N_STORED + n;
    for (int i = 0; i < qc::RUN; i += 4)
      qc::global_store16(to + i, make_uint4((unsigned)sums[i], (unsigned)sums[i + 1],
                                            (unsigned)sums[i + 2], (unsigned)sums[i + 3]));
  }}
}};
extern "C" __global__ void __launch_bounds__(qc::threads<Problem_{case.name}>())
    {case.name}(const unsigned char* x, const unsigned char* w, int* out) {{
  qc::contract(x, w, Problem_{case.name}{{out}}, blockIdx.x);
}}
QC_KERNEL({case.name})
#ifdef QC_EMU
extern "C" __global__ void {case.name}_facts(int* out) {{
  out[0] = qc::threads<Problem_{case.name}>();
  out[1] = qc::shared_bytes<Problem_{case.name}>();
  out[2] = qc::blocks<Problem_{case.name}>();
}}
QC_KERNEL({case.name}_facts)
#endif
"""


def facts(emulator: Emulator, case: Case) -> list[int]:
    """What the template says of the case: threads and shared bytes of a block, blocks."""
    out = np.zeros(3, np.int32)
    emulator.launch(f"{case.name}_facts", grid=(1,), block=(1,), arrays=[out])
    return out.tolist()


def operands(case: Case) -> tuple[Ints, Ints]:
    """Activations [image, y, x, group, channel] and weights [output, y, x, channel], all values."""
    images = case.images
    random = np.random.default_rng(case.places + case.outputs + images.depth)
    low, high = (0, 1 << case.bits) if case.unsigned else _signed(case.bits)
    size = (images.images, images.height, images.width, images.groups, images.channels)
    window = (case.outputs, images.window, images.window, images.channels)
    x = random.integers(low, high, size)
    return x, random.integers(*_signed(case.weight_bits), window)


def expected(case: Case) -> Ints:
    """Sums [place, stored output] by numpy, zero for outputs beyond the last."""
    x, w = operands(case)
    images = case.images
    windows = sliding_window_view(x, (images.window, images.window), axis=(1, 2))
    seen = windows[:, :: images.stride, :: images.stride].astype(np.float64)
    tile = case.tile.bn
    parts = [
        np.einsum("nyxcij,oijc->nyxo", seen[:, :, :, at // tile % images.groups],
                  w[at : at + tile].astype(np.float64))
        for at in range(0, case.outputs, tile)
    ]  # fmt: skip
    sums = np.concatenate(parts, axis=-1).reshape(case.places, case.outputs).astype(np.int64)
    return np.pad(sums, ((0, 0), (0, case.stored - case.outputs)))


def arrays(case: Case) -> list[Ints]:
    """The kernel's arguments; the last one receives sums of [split, place, stored output]."""
    x, w = operands(case)
    packed = pack_weights(
        w.reshape(case.outputs, -1), bits=case.bits, weight_bits=case.weight_bits, bn=case.tile.bn
    )
    out = np.full((case.splits, case.places, case.stored), GARBAGE, np.int32)
    return [_with_slack(_packed(x, case.bits), case), packed, out]


def run(emulator: Emulator, case: Case, *, order: int = 0) -> tuple[Ints, Stats]:
    """Sums [place, stored output] by the kernel, and what it did."""
    given = arrays(case)
    stats = emulator.launch(
        case.name, grid=(case.blocks,), block=(case.tile.threads,), shared=case.shared_bytes,
        arrays=given, order=order,
    )  # fmt: skip
    return given[-1].sum(axis=0), stats


def wrong(emulator: Emulator, cases: list[Case], orders: Sequence[int]) -> list[str]:
    """Which cases differ from numpy, in which order, or have bank conflicts."""
    tried = [(case, order, run(emulator, case, order=order)) for case in cases for order in orders]
    results = {case.name: expected(case) for case in cases}
    return [
        f"{label(case)} in order {order}: {stats}"
        for case, order, (sums, stats) in tried
        if not np.array_equal(sums, results[case.name])
        or stats.matrix_conflicts + stats.access_conflicts
    ]


def _signed(bits: int) -> tuple[int, int]:
    return -(1 << (bits - 1)), 1 << (bits - 1)


def _packed(elements: Ints, bits: int) -> Ints:
    flat = elements.astype(np.uint8).ravel()
    return flat if bits == 8 else (flat[0::2] & 15) | (flat[1::2] << 4)


def _with_slack(x: Ints, case: Case) -> Ints:
    """As far behind the last row as taps beyond the window reach, of any value: weights are 0."""
    images = case.images
    run = images.channels * case.bits // 8
    taps = -(-case.depth_bytes // run)
    reach = (taps // images.window * images.width + images.window) * images.groups * run
    return np.concatenate([x, np.full(reach, 0xA5, np.uint8)])
