"""What a kernel must hold before it ships: nothing in local memory, a block fits, its instructions.

Local memory (a stack, spilled registers) lives in DRAM: a kernel that uses it is correct and slow,
which no test of results would show.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from qcompile.errors import ToolchainError
from qcompile.targets.cuda.build import Kernel
from qcompile.targets.cuda.devices import Chip

WARP, MOST_REGISTERS, REGISTER_STEP = 32, 255, 8
_STATEMENT = re.compile(r"^\s*(?:@!?%\w+\s+)?([a-z][\w.:]*)", re.MULTILINE)
COUNTED = (
    "mma.sync", "wgmma.mma_async", "ldmatrix", "cp.async.ca", "cp.async.cg", "dp4a", "bar.sync",
    "ld.local", "st.local",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Limit:
    """What one kernel may use: registers a thread, bytes of shared memory a block."""

    registers: int
    shared: int


def limit(chip: Chip, *, threads: int, blocks: int = 1, dynamic_shared: int = 0) -> Limit:
    """So that `blocks` blocks of `threads` threads run side by side on one SM.

    `dynamic_shared` is asked for at launch and leaves the rest for static shared memory.
    """
    warps = -(-threads // WARP) * blocks
    registers = chip.registers_per_sm // (warps * WARP) // REGISTER_STEP * REGISTER_STEP
    kept = chip.shared_per_sm - chip.shared_per_block  # what the system takes of each block
    shared = min(chip.shared_per_block, chip.shared_per_sm // blocks - kept)
    return Limit(min(registers, MOST_REGISTERS), shared - dynamic_shared)


def check_resources(kernel: Kernel, limit: Limit) -> None:
    """`ToolchainError` with all that is wrong: a stack, spills, too many registers, too much
    shared memory."""
    faults = {
        f"a stack of {kernel.stack} bytes": kernel.stack > 0,
        f"{kernel.spill_stores} bytes of spill stores": kernel.spill_stores > 0,
        f"{kernel.spill_loads} bytes of spill loads": kernel.spill_loads > 0,
        f"{kernel.registers} registers where {limit.registers} fit": kernel.registers
        > limit.registers,
        f"{kernel.shared_static} bytes of static shared memory where {limit.shared} are left":
        kernel.shared_static > limit.shared,
    }  # fmt: skip
    found = [fault for fault, present in faults.items() if present]
    if found:
        raise ToolchainError(
            f"kernel {kernel.name}: {', '.join(found)}; "
            "make its tile smaller, or let fewer blocks share an SM"
        )


def check_counts(name: str, found: Mapping[str, int], wanted: Mapping[str, int]) -> None:
    """`ToolchainError` with every instruction of which the kernel has more or fewer than wanted.

    `found` is of `ptx_counts` or of `disassembly.sass_counts`: {"IMMA": 128, "LDL": 0, "STL": 0}.
    """
    faults = [
        f"{found.get(instruction, 0)} {instruction} where {count} are wanted"
        for instruction, count in wanted.items()
        if found.get(instruction, 0) != count
    ]
    if faults:
        raise ToolchainError(f"kernel {name} is not as designed: {', '.join(faults)}")


def ptx_counts(ptx: bytes) -> Mapping[str, int]:
    """How often each instruction of `COUNTED` stands in the PTX, with any modifiers."""
    found = Counter(_STATEMENT.findall(ptx.decode()))
    return {
        name: sum(n for form, n in found.items() if f"{form}.".startswith(f"{name}."))
        for name in COUNTED
    }
