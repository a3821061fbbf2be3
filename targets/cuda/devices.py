"""The chips: what each can do, how fast, and where that is published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from qcompile.targets.cuda.instructions import INT4, Support, instructions

KIB, MIB = 1 << 10, 1 << 20


@dataclass(frozen=True, slots=True)
class Chip:
    """One chip at its published boost clock.

    `int8_macs`, `int4_macs`: dense multiply-adds of all tensor cores of one SM in one clock (0: the
    hardware has none). `mma_sync_percent`: the share of them that `mma.sync` reaches.
    `int32_lanes`: plain 32-bit integer operations of one SM in one clock. `shared_per_block` is
    the most that one block can ask for. `sources` says where the numbers are published, `unproven`
    names each field without a published number, with the reason for the value it has.
    """

    name: str
    arch: str
    capability: tuple[int, int]
    sms: int
    boost_mhz: int
    int8_macs: int
    int4_macs: int
    int32_lanes: int
    dram_gbs: int
    l2_bytes: int
    l2_bytes_per_clock: int
    shared_per_sm: int
    shared_per_block: int
    threads_per_sm: int
    blocks_per_sm: int
    watts: int
    sources: tuple[str, ...]
    registers_per_sm: int = 65536
    threads_per_block: int = 1024
    mma_sync_percent: int = 100
    unproven: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def instructions(self) -> Mapping[str, Support]:
        """Instruction → native, emulated or absent, and why."""
        return instructions(self.capability)

    @property
    def int8_tops(self) -> float:
        """Peak 10^12 operations a second, a multiply-add counted as two."""
        return 2 * self.sms * self.boost_mhz * self.int8_macs / 1e6

    @property
    def int4_tops(self) -> float:
        """The same of 4-bit operands."""
        return 2 * self.sms * self.boost_mhz * self.int4_macs / 1e6


def int4_emulation(chip: Chip) -> str:
    """Why the chip's 4-bit products exist only in emulation, and what to use; empty if native.

    Emulation gives the same integers, so it serves for checking; its speed says nothing.
    """
    support = chip.instructions[INT4]
    if support.kind == "native":
        return ""
    return (
        f"{chip.name}-int4: {chip.name} ({chip.arch}) has no 4-bit integer tensor cores: "
        f"{INT4} is {support.kind} ({support.why}); use {chip.name}-int8, "
        "or --allow-emulated to check results (not speed) there"
    )


GUIDE = "CUDA C++ Programming Guide, technical specifications per compute capability"
HOPPER_MEASURED = "Luo et al., arXiv 2402.13499 (mma.sync reaches 62.9 % of peak on H100)"

T4 = Chip(
    name="t4", arch="sm_75", capability=(7, 5), sms=40, boost_mhz=1590,
    int8_macs=1024, int4_macs=2048, int32_lanes=64,
    dram_gbs=320, l2_bytes=4 * MIB, l2_bytes_per_clock=800,
    shared_per_sm=64 * KIB, shared_per_block=64 * KIB, threads_per_sm=1024, blocks_per_sm=16,
    watts=70,
    sources=(
        "NVIDIA T4 datasheet: 130 TOPS int8, 260 TOPS int4, 320 GB/s, 70 W",
        "NVIDIA Turing whitepaper: TU104, 40 SMs, 1590 MHz, 4 MB L2",
        "Jia et al., arXiv 1903.07486: measured L2 load throughput",
        GUIDE,
    ),
    unproven={
        "l2_bytes_per_clock": "from 1270 GB/s quoted for a microbenchmark at boost clock; NVIDIA "
        "publishes none",
    },
)  # fmt: skip

A10 = Chip(
    name="a10", arch="sm_86", capability=(8, 6), sms=72, boost_mhz=1695,
    int8_macs=1024, int4_macs=2048, int32_lanes=64,
    dram_gbs=600, l2_bytes=6 * MIB, l2_bytes_per_clock=1536,
    shared_per_sm=100 * KIB, shared_per_block=99 * KIB, threads_per_sm=1536, blocks_per_sm=16,
    watts=150,
    sources=(
        "NVIDIA A10 datasheet: 250 TOPS int8, 500 TOPS int4, 600 GB/s, 150 W",
        "NVIDIA Ampere GA102 whitepaper: 6144 KB L2, tensor rates per SM",
        GUIDE,
    ),
    unproven={"l2_bytes_per_clock": "48 slices of 32 bytes, a guess from GA102's memory width"},
)  # fmt: skip

A100 = Chip(
    name="a100", arch="sm_80", capability=(8, 0), sms=108, boost_mhz=1410,
    int8_macs=2048, int4_macs=4096, int32_lanes=64,
    dram_gbs=1555, l2_bytes=40 * MIB, l2_bytes_per_clock=5120,
    shared_per_sm=164 * KIB, shared_per_block=163 * KIB, threads_per_sm=2048, blocks_per_sm=32,
    watts=400,
    sources=(
        "NVIDIA A100 datasheet: 624 TOPS int8, 1248 TOPS int4, 1555 GB/s (40 GB), 400 W (SXM)",
        "NVIDIA A100 whitepaper: 108 SMs, 1410 MHz, 40 MB L2 of 5120 bytes per clock",
        GUIDE,
    ),
)  # fmt: skip

ORIN = Chip(
    name="orin", arch="sm_87", capability=(8, 7), sms=16, boost_mhz=1300,
    int8_macs=2048, int4_macs=4096, int32_lanes=64,
    dram_gbs=204, l2_bytes=4 * MIB, l2_bytes_per_clock=512,
    shared_per_sm=164 * KIB, shared_per_block=163 * KIB, threads_per_sm=1536, blocks_per_sm=16,
    watts=60,
    sources=(
        "NVIDIA Jetson AGX Orin technical brief: 16 SMs, 1.3 GHz, 170 TOPS sparse int8 (85 dense), "
        "204.8 GB/s, 4 MB L2, 60 W (64 GB module)",
        GUIDE,
    ),
    unproven={
        "int4_macs": "twice int8 as on A100; NVIDIA publishes no int4 rate for Orin",
        "l2_bytes_per_clock": "32 bytes for each SM, a guess",
    },
)  # fmt: skip

L4 = Chip(
    name="l4", arch="sm_89", capability=(8, 9), sms=58, boost_mhz=2040,
    int8_macs=1024, int4_macs=2048, int32_lanes=64,
    dram_gbs=300, l2_bytes=48 * MIB, l2_bytes_per_clock=1024,
    shared_per_sm=100 * KIB, shared_per_block=99 * KIB, threads_per_sm=1536, blocks_per_sm=24,
    watts=72,
    sources=(
        "NVIDIA L4 datasheet: 485 TOPS sparse int8 (242 dense), 300 GB/s, 72 W",
        "NVIDIA Ada whitepaper: int4 at twice int8 per SM",
        GUIDE,
    ),
    unproven={"l2_bytes_per_clock": "a guess from AD104's memory width"},
)  # fmt: skip

H100 = Chip(
    name="h100", arch="sm_90", capability=(9, 0), sms=132, boost_mhz=1830,
    int8_macs=4096, int4_macs=0, int32_lanes=64,
    dram_gbs=3350, l2_bytes=50 * MIB, l2_bytes_per_clock=5120,
    shared_per_sm=228 * KIB, shared_per_block=227 * KIB, threads_per_sm=2048, blocks_per_sm=32,
    watts=700, mma_sync_percent=62,
    sources=(
        "NVIDIA H100 datasheet (SXM): 1979 TOPS dense int8, 3.35 TB/s, 700 W",
        "NVIDIA H100 whitepaper: 132 SMs, 50 MB L2; the clock is the one that the peak implies",
        HOPPER_MEASURED,
        GUIDE,
    ),
    unproven={
        "l2_bytes_per_clock": "A100's; NVIDIA publishes none for H100",
        "mma_sync_percent": "an average over types measured by others, none of them this kernel",
    },
)  # fmt: skip

CHIPS: Mapping[str, Chip] = MappingProxyType(
    {chip.name: chip for chip in (T4, A10, A100, ORIN, L4, H100)}
)
