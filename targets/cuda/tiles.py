"""The tiles that a contraction can be cut into, and what each asks of a multiprocessor.

The shapes are those that device/qc_contract.cuh takes: 64 bytes of k a step, warps of 32 or more
places by 32 or 64 channels.
"""

from __future__ import annotations

from dataclasses import dataclass

from qcompile.targets.cuda.devices import Chip

STEP_BYTES = 64
WARP = 32

# The width of what a chip hands out: registers of a thread, shared memory of a block.
_REGISTER_UNIT, _SHARED_UNIT = 8, 256
# What a thread needs beside sums, operands and copies under way: addresses, the step, the place.
# The template compiled for sm_75 has 127 registers for 128x128 (here 128), 208-237 for 128x256
# (204), 76-83 for 128x64 (88), 72-82 for 64x64 (92), 127-134 for 64x128 (136), 116-118 for 32x32
# (108), 80-98 for the other small ones (96-100).
_OTHER_REGISTERS = 36
_MOST_REGISTERS = 255


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """`bm` places by `bn` channels a block, `wm` by `wn` a warp, `stages` steps of k under way.

    Two stages: the next step is on its way through registers (sm_75). More: in the background.
    """

    bm: int
    bn: int
    wm: int
    wn: int
    stages: int

    @property
    def name(self) -> str:
        """`128x64w32x32s2`."""
        return f"{self.bm}x{self.bn}w{self.wm}x{self.wn}s{self.stages}"

    @property
    def warps(self) -> int:
        """Of a block."""
        return (self.bm // self.wm) * (self.bn // self.wn)

    @property
    def threads(self) -> int:
        """Of a block."""
        return WARP * self.warps

    @property
    def staged_by_registers(self) -> bool:
        """Whether the next step waits in registers rather than in shared memory."""
        return self.stages == 2

    @property
    def registers(self) -> int:
        """Of a thread, estimated: sums, one k step's operands, a step's copies, the rest."""
        sums = self.wm * self.wn // WARP
        operands = self.wm // 8 + self.wn // 8
        chunks = -(-(self.bm + self.bn) * (STEP_BYTES // 16) // self.threads)
        copies = chunks * (4 if self.staged_by_registers else 1)
        return min(
            _up(sums + operands + copies + _OTHER_REGISTERS, _REGISTER_UNIT), _MOST_REGISTERS
        )

    def step_bytes(self, *, bits: int, weight_bits: int) -> int:
        """What a block reads of both operands in a step; 4-bit weights of 8-bit products packed."""
        return STEP_BYTES * self.bm + STEP_BYTES * self.bn * weight_bits // bits

    def shared_bytes(self, *, bits: int, weight_bits: int) -> int:
        """Of a block: all stages."""
        return self.stages * self.step_bytes(bits=bits, weight_bits=weight_bits)


def tiles(chip: Chip) -> tuple[Tile, ...]:
    """Those worth a try, the largest first; background copies need compute capability 8."""
    stages = (2,) if chip.capability < (8, 0) else (4, 3)
    return tuple(Tile(*shape, stages=count) for shape in _SHAPES for count in stages)


def resident(chip: Chip, tile: Tile, *, shared_bytes: int) -> int:
    """Blocks that one multiprocessor holds at once; 0 where the tile does not fit."""
    if shared_bytes > chip.shared_per_block or tile.threads > chip.threads_per_block:
        return 0
    registers = _up(tile.registers, _REGISTER_UNIT) * tile.threads
    return min(
        chip.registers_per_sm // registers,
        chip.shared_per_sm // _up(shared_bytes, _SHARED_UNIT),
        chip.threads_per_sm // tile.threads,
        chip.blocks_per_sm,
    )


def _up(value: int, unit: int) -> int:
    return -(-value // unit) * unit


_SHAPES = (
    (128, 256, 64, 64),
    (128, 128, 64, 32),
    (128, 64, 32, 32),
    (64, 128, 32, 64),
    (64, 64, 32, 32),
    (32, 128, 32, 32),
    (64, 32, 32, 32),
    (32, 64, 32, 32),
    (32, 32, 32, 32),
)
