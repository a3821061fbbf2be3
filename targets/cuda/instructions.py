"""Which instruction a compute capability has in hardware, has emulated, or lacks.

As measured by compiling each with NVRTC for each architecture and reading the machine code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Capability = tuple[int, int]
Kind = Literal["native", "emulated", "absent"]

INT8 = "mma.sync int8 m8n8k16"
INT8_WIDE = "mma.sync int8 m16n8k32"
INT4 = "mma.sync int4 m8n8k32"
INT4_WIDE = "mma.sync int4 m16n8k64"
FP8 = "mma.sync fp8 m16n8k32"
WGMMA = "wgmma int8"
DP4A, LDMATRIX, CP_ASYNC = "dp4a", "ldmatrix", "cp.async"


@dataclass(frozen=True, slots=True)
class Support:
    """Native: one machine instruction does it. Emulated: the compiler writes several that give
    the same integers. Absent: the compiler refuses it. `why` says what happens, or what to use."""

    kind: Kind
    why: str


def instructions(capability: Capability) -> Mapping[str, Support]:
    """Every instruction that the kernels use or could use, on this compute capability."""
    return {
        INT8: Support("native", "IMMA.8816, from sm_75 on"),
        INT8_WIDE: _since((8, 0), capability, "IMMA.16832"),
        INT4: _int4(capability, "IMMA.8832.S4"),
        INT4_WIDE: _wide_int4(capability),
        FP8: _fp8(capability),
        WGMMA: _wgmma(capability),
        DP4A: Support("native", "IDP.4A, from sm_61 on"),
        LDMATRIX: Support("native", "LDSM, from sm_75 on"),
        CP_ASYNC: _since((8, 0), capability, "LDGSTS"),
    }


def _since(first: Capability, capability: Capability, machine: str) -> Support:
    if capability >= first:
        return Support("native", machine)
    return Support("absent", f"{machine} needs sm_{first[0]}{first[1]}")


def _int4(capability: Capability, machine: str) -> Support:
    if capability < (9, 0):
        return Support("native", machine)
    return Support("emulated", "unpacked to 8 bits, then two int8 IMMA, slower than int8 itself")


def _wide_int4(capability: Capability) -> Support:
    if capability < (8, 0):
        return _since((8, 0), capability, "IMMA.16864.S4")
    return _int4(capability, "IMMA.16864.S4")


def _fp8(capability: Capability) -> Support:
    if capability < (8, 9):
        return Support("absent", "fp8 needs sm_89")
    if capability < (9, 0):
        return Support("native", "QMMA.16832")
    return Support("emulated", "converted, then two fp16 HMMA; only wgmma multiplies fp8 there")


def _wgmma(capability: Capability) -> Support:
    if capability == (9, 0):
        return Support("absent", "only when built for sm_90a, which these kernels are not yet")
    return Support("absent", "on sm_90a only")
