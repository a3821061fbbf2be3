"""What data sheets leave out: how much of each peak a good kernel gets, and why we think so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from qcompile.targets.cuda.devices import Chip


@dataclass(frozen=True, slots=True)
class Factors:
    """Shares of the published peaks, and times that no data sheet has.

    `clock`: sustained share of the boost clock. `tensor`, `l2`, `dram`, `issue`: shares of tensor
    instructions, second-level and memory bandwidth and instruction slots in steady work.
    `plain`: share of the instructions beside the main loop that the integer units carry out.
    `interference`: how much of the second-busiest resource's time adds to the busiest's.
    `latency`: cycles from a load to its use, caches loaded. `stall`: cycles of a step in which a
    warp multiplies nothing. `launch`: microseconds from the end of
    one kernel to the start of the next in a CUDA graph. `reasons` has one entry for each.
    """

    clock: float
    tensor: float
    l2: float
    dram: float
    issue: float
    plain: float
    interference: float
    latency: float
    stall: float
    launch: float
    reasons: Mapping[str, str] = field(default_factory=dict[str, str])


def factors(chip: Chip) -> Factors:
    """The shares for this chip; unproven ones are called so in `reasons`."""
    return _T4 if chip.name == "t4" else _OTHERS


_COMMON = {
    "tensor": "unproven: a barrier a step and the loop's own instructions cost something; on T4 "
    "its product with the clock is measured",
    "l2": "unproven: published figures are of pure loads, tiles mix them with stores",
    "issue": "unproven: a few warps a scheduler hide most, not all, of each other's latencies",
    "plain": "counted in the machine code of finished kernels: 40-50 % are integer operations "
    "other than multiplication, which has units of its own; rounded up for wide products",
    "interference": "unproven: resources that are both busy most of the time delay each other",
    "latency": "unproven under load; idle, Jia et al. measured 188 cycles for a hit in T4's second "
    "level cache (arXiv 1903.07486)",
    "stall": "unproven: an ldmatrix of some 30 cycles, storing what arrived, a barrier",
    "launch": "unproven: NVIDIA's blog 'Getting Started with CUDA Graphs' gives 0.5 us over the "
    "kernel's own time on a V100; draining and filling the chip added",
}

_T4 = Factors(
    clock=0.84, tensor=0.90, l2=0.80, dram=0.69, issue=0.70, plain=0.60, interference=0.20,
    latency=450.0, stall=100.0, launch=1.5,
    reasons=MappingProxyType({
        **_COMMON,
        "clock": "70 W do not carry 1590 MHz: cuBLAS half precision was measured at 49.4 of 65 "
        "TFLOP/s (76 %; Armbruster, 'How to write a fast matrix multiplication from scratch with "
        "tensor cores'), and 0.76 / 0.90 = 0.84; how the 76 % divide is unproven. Seen as low as "
        "900 MHz (github.com/mlcommons/inference_results_v0.5/issues/20)",
        "dram": "220 of 320 GB/s measured by Jia et al., arXiv 1903.07486",
    }),
)  # fmt: skip

_OTHERS = Factors(
    clock=0.90, tensor=0.90, l2=0.80, dram=0.85, issue=0.70, plain=0.60, interference=0.20,
    latency=500.0, stall=100.0, launch=1.5,
    reasons=MappingProxyType({
        **_COMMON,
        "clock": "unproven: board power seldom carries the boost clock under tensor load",
        "dram": "unproven: a usual share for streams",
    }),
)  # fmt: skip
