"""What a compiled image says of itself: for which SM, and from which driver on it loads."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from qcompile.errors import ArtifactError

CUDA_MACHINE = 190
_HEADER = struct.Struct("<4s5B7x2HI3QI")  # up to e_flags of a 64-bit little-endian ELF header
_VERSION = re.compile(rb"^\.version (\d+)\.(\d+)$", re.MULTILINE)
_TARGET = re.compile(rb"^\.target (sm_\w+)", re.MULTILINE)

# ABI version → what cuDriverGetVersion says at least. Machine code loads in every driver of its
# CUDA major version and later ones: 12 from driver 525 on, 13 from 580 on.
_DRIVERS = {7: 12000, 8: 13000}


@dataclass(frozen=True, slots=True)
class Cubin:
    """The ELF header of machine code. `sm` is 75 for sm_75; `min_driver` as the driver counts."""

    os_abi: int
    abi_version: int
    sm: int
    min_driver: int


@dataclass(frozen=True, slots=True)
class Ptx:
    """The head of PTX text: its language version and the least architecture that runs it."""

    isa: tuple[int, int]
    arch: str
    min_driver: int


def read_cubin(data: bytes) -> Cubin:
    """The header of machine code for NVIDIA GPUs; `ArtifactError` for anything else."""
    if len(data) < _HEADER.size:
        raise ArtifactError(f"machine code of {len(data)} bytes is too short for an ELF header")
    magic, width, order, _, os_abi, abi, _, machine, _, _, _, _, flags = _HEADER.unpack_from(data)
    if (magic, width, order) != (b"\x7fELF", 2, 1):
        raise ArtifactError("machine code is not a 64-bit little-endian ELF file")
    if machine != CUDA_MACHINE:
        raise ArtifactError(f"ELF machine {machine} is not an NVIDIA GPU ({CUDA_MACHINE})")
    if abi not in _DRIVERS:
        known = ", ".join(map(str, _DRIVERS))
        raise ArtifactError(f"GPU machine code of ABI version {abi} is unknown, known are {known}")
    sm = flags & 0xFF if abi == 7 else flags >> 8 & 0xFF  # it moved with CUDA 13
    return Cubin(os_abi, abi, sm, _DRIVERS[abi])


def read_ptx(data: bytes) -> Ptx:
    """Version and target of PTX text; `ArtifactError` when it names none, or an unknown version."""
    version, target = _VERSION.search(data), _TARGET.search(data)
    if version is None or target is None:
        raise ArtifactError("PTX names no .version and .target")
    isa = (int(version[1]), int(version[2]))
    if isa not in _ISA_DRIVERS:
        raise ArtifactError(f"PTX version {isa[0]}.{isa[1]} is unknown, 8.0 to 9.0 are known")
    return Ptx(isa, target[1].decode(), _ISA_DRIVERS[isa])


# PTX loads only in drivers that know its language version (PTX ISA, release notes).
_ISA_DRIVERS = {
    (8, 0): 12000, (8, 1): 12010, (8, 2): 12020, (8, 3): 12030, (8, 4): 12040, (8, 5): 12050,
    (8, 6): 12070, (8, 7): 12080, (8, 8): 12090, (9, 0): 13000,
}  # fmt: skip
