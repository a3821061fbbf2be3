"""Instruction sets: what a kernel generator must know of a processor."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Dot(Enum):
    """How products of bytes are summed: the members' values say group size and weight format."""

    VNNI = "4 x i8"  # acc += u8[4] · i8[4], one instruction
    SDOT = "4 x i8 signed"  # acc += i8[4] · i8[4], one instruction
    MADD = "2 x i16"  # acc += i16[2] · i16[2], multiply-add and add
    PLAIN = "1 x i8"  # acc += i32 · i32

    @property
    def group(self) -> int:
        """How many consecutive k one step contracts."""
        return int(self.value[0])

    @property
    def weight(self) -> str:
        """The element format of packed weights."""
        return self.value.split()[2]


@dataclass(frozen=True, slots=True)
class Isa:
    """One instruction set: `triple`, `cpu` and `attributes` as LLVM names them.

    `features` are the names the library tests for when it is opened. `lanes` counts the i32 lanes
    of a vector register, `registers` the vector registers.
    """

    name: str
    triple: str
    cpu: str
    attributes: tuple[str, ...]
    features: tuple[str, ...]
    lanes: int
    registers: int
    dot: Dot
    intrinsic: str
    l2_bytes: int = 1 << 20

    @property
    def paired(self) -> bool:
        """Multiplies the even 32-bit lanes to 64 bits in one instruction."""
        return self.triple.startswith("x86") and self.lanes >= 8


AVX512_VNNI = Isa(
    name="avx512vnni",
    triple="x86_64-linux-gnu",
    cpu="cascadelake",
    attributes=(),
    features=("avx2", "fma", "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512vnni"),
    lanes=16,
    registers=32,
    dot=Dot.VNNI,
    intrinsic="llvm.x86.avx512.vpdpbusd.512",
)
AVX2 = Isa(
    name="avx2",
    triple="x86_64-linux-gnu",
    cpu="haswell",
    attributes=(),
    features=("avx2", "fma"),
    lanes=8,
    registers=16,
    dot=Dot.MADD,
    intrinsic="llvm.x86.avx2.pmadd.wd",
    l2_bytes=256 << 10,
)
PORTABLE = Isa(
    name="x86-64",
    triple="x86_64-linux-gnu",
    cpu="x86-64",
    attributes=(),
    features=(),
    lanes=4,
    registers=16,
    dot=Dot.PLAIN,
    intrinsic="",
    l2_bytes=256 << 10,
)
NEON_DOT = Isa(
    name="neon-dotprod",
    triple="aarch64-linux-gnu",
    cpu="generic",
    attributes=("+v8.2a", "+dotprod"),
    features=("asimddp",),
    lanes=4,
    registers=32,
    dot=Dot.SDOT,
    intrinsic="llvm.aarch64.neon.sdot.v4i32.v16i8",
    l2_bytes=512 << 10,
)

ISAS = {isa.name: isa for isa in (AVX512_VNNI, AVX2, PORTABLE, NEON_DOT)}
