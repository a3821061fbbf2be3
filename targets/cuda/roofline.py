"""How long a kernel should take: each resource's time on its own, and how they overlap.

A contraction is blocks of two phases, products and finishing. A multiprocessor holds some blocks
at once, and the one with the most blocks decides. Blocks that begin together stay in step, so the
phases of a single round add up; with more rounds one block's finishing hides behind another's
products. No constant here is fitted to a published time of another implementation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from qcompile.errors import TargetError
from qcompile.targets.cuda.devices import Chip
from qcompile.targets.cuda.factors import Factors, factors
from qcompile.targets.cuda.prediction import Prediction, Time
from qcompile.targets.cuda.tiles import STEP_BYTES, WARP, Tile, resident
from qcompile.targets.cuda.work import Work

_SCHEDULERS = 4
_EMULATION = 6  # times the instructions of one 4-bit product, counted in sm_90 code
_SHARED_BYTES_PER_CLOCK = 128
_PORT_BYTES_PER_CLOCK = 64  # from the second-level cache into one multiprocessor
_PANEL_BYTES = 1 << 20  # of weights, as qc_tile.cuh cuts them
_SETUP_INSTRUCTIONS = 200  # of a warp before its first product, counted in the machine code
_LOOP_INSTRUCTIONS = 12  # of a warp and step: counting, barrier, changing stages
_UNPACK_INSTRUCTIONS = 2  # for one register of 8-bit operands from packed 4-bit weights


@dataclass(frozen=True, slots=True)
class Machine:
    """A chip as this model sees it: rates in units per millisecond."""

    chip: Chip
    factors: Factors

    @property
    def cycles(self) -> float:
        """Of the clock."""
        return self.chip.boost_mhz * 1e3 * self.factors.clock

    @property
    def l2(self) -> float:
        """Bytes from the second-level cache to all multiprocessors."""
        return self.chip.l2_bytes_per_clock * self.cycles * self.factors.l2

    @property
    def dram(self) -> float:
        """Bytes of memory."""
        return self.chip.dram_gbs * 1e6 * self.factors.dram

    @property
    def kept(self) -> int:
        """Bytes that the next kernel still finds in the second-level cache: half of it, since a
        tensor larger than what is left evicts its own beginning."""
        return self.chip.l2_bytes // 2

    def macs_per_cycle(self, bits: int) -> float:
        """Of one multiprocessor; 4-bit ones that the hardware lacks are unpacked to 8 bits."""
        emulated = self.chip.int8_macs / _EMULATION
        peak = self.chip.int8_macs if bits == 8 else self.chip.int4_macs or emulated
        return peak * self.chip.mma_sync_percent / 100 * self.factors.tensor

    def issue(self, instructions: float) -> float:
        """Milliseconds for warp instructions of one multiprocessor: slots or integer units."""
        plain = instructions * self.factors.plain * WARP / self.chip.int32_lanes
        return max(instructions / _SCHEDULERS, plain) / self.factors.issue / self.cycles


def machine(chip: Chip) -> Machine:
    """With the factors that we believe."""
    return Machine(chip, factors(chip))


def predict(on: Machine, work: Work, *, tile: Tile, splits: int) -> Prediction:
    """Of one contraction, k in `splits` parts; several need a second kernel that adds them up.

    `TargetError` where the tile does not fit the chip or there are more parts than steps of k.
    """
    _require_fit(on.chip, work, tile, splits)
    if splits == 1:
        return _contract(on, work, tile, splits)
    partial = work.places * work.outputs * 4 * splits
    parts = replace(work, output_bytes=partial, extra_bytes=0, finish_instructions=1.5)
    elements = work.places * work.outputs
    sums = predict_map(
        on,
        read_bytes=partial + work.extra_bytes,
        written_bytes=work.output_bytes,
        elements=elements,
        instructions=work.finish_instructions + 2 * splits,
    )
    return _contract(on, parts, tile, splits).then(sums)


def predict_map(
    on: Machine, *, read_bytes: int, written_bytes: int, elements: int, instructions: float
) -> Prediction:
    """Of a kernel that reads, computes and writes each element once: pools, moves, elementwise."""
    warps = -(-elements // WARP)
    time = Time(
        tensor=0.0,
        shared=0.0,
        issue=on.issue(-(-warps // on.chip.sms) * instructions),
        l2=(read_bytes + written_bytes) / on.l2,
        dram=(_from_memory(on, read_bytes) + written_bytes) / on.dram,
    )
    fill = on.factors.latency / on.cycles
    launch = on.factors.launch / 1e3
    return Prediction(
        milliseconds=time.together(on.factors.interference) + fill + launch,
        time=time, latency=fill, launch=launch, tail=0.0, blocks=warps, resident=0, rounds=1,
    )  # fmt: skip


def _contract(on: Machine, work: Work, tile: Tile, splits: int) -> Prediction:
    chip = on.chip
    blocks = -(-work.places // tile.bm) * -(-work.outputs // tile.bn) * splits
    share = -(-blocks // chip.sms)  # of the multiprocessor that has most
    held = min(resident(chip, tile, shared_bytes=_shared(work, tile)), share)
    rounds = -(-share // held)
    steps = -(-work.steps // splits)
    products = _products(on, work, tile, steps=steps, blocks=blocks, share=share)
    finish = _finish(on, work, tile, share=share, splits=splits)
    wait = on.factors.latency / on.cycles
    stand = rounds * steps * _standstill(on, work, tile)
    path = (
        stand + rounds * steps * _step_macs(work, tile) / on.macs_per_cycle(work.bits) / on.cycles
    )
    hidden = (1 - 1 / held) * (1 - 1 / rounds)
    mixed = on.factors.interference
    serial = max(products.together(mixed), path) + finish.together(mixed)
    overlapped = max((products + finish).together(mixed), path)
    fill = wait * (1 + (rounds - 1) / held)
    launch = on.factors.launch / 1e3
    busy = overlapped + (1 - hidden) * (serial - overlapped)
    return Prediction(
        milliseconds=busy + fill + launch,
        time=products + finish,
        latency=stand + fill,
        launch=launch,
        tail=busy * (1 - blocks / (share * chip.sms)),
        blocks=blocks,
        resident=held,
        rounds=rounds,
    )


def _step_macs(work: Work, tile: Tile) -> int:
    return tile.bm * tile.bn * STEP_BYTES * 8 // work.bits


def _standstill(on: Machine, work: Work, tile: Tile) -> float:
    """Milliseconds of a step in which a block that has the multiprocessor to itself idles it.

    Its copies arrive after `latency`, shared by the steps under way. Its products keep as many
    schedulers busy as it has warps, and stand still while operands are read and at the barrier.
    """
    full = _step_macs(work, tile) / on.macs_per_cycle(work.bits)
    alone = full / min(1.0, tile.warps / _SCHEDULERS) + on.factors.stall
    arrival = on.factors.latency / (tile.stages - 1)
    return (max(arrival, alone) - full) / on.cycles


def _products(on: Machine, work: Work, tile: Tile, *, steps: int, blocks: int, share: int) -> Time:
    """Of the main loops: `share` blocks on one multiprocessor, `blocks` on the chip."""
    step = tile.step_bytes(bits=work.bits, weight_bits=work.weight_bits)
    operands = tile.warps * (tile.wm + tile.wn) * STEP_BYTES
    count = share * steps
    panels = -(-work.weight_bytes // _PANEL_BYTES)
    read = _from_memory(on, work.input_bytes) * panels + work.weight_bytes
    return Time(
        tensor=count * _step_macs(work, tile) / on.macs_per_cycle(work.bits) / on.cycles,
        shared=count * (operands + step) / _SHARED_BYTES_PER_CLOCK / on.cycles,
        issue=on.issue(
            share * tile.warps * _SETUP_INSTRUCTIONS
            + count * _step_instructions(on.chip, work, tile)
        ),
        l2=max(blocks * steps * step / on.l2, count * step / _PORT_BYTES_PER_CLOCK / on.cycles),
        dram=read / on.dram,
    )


def _step_instructions(chip: Chip, work: Work, tile: Tile) -> float:
    """Of all warps of a block: products, operands, copies and where their bytes lie."""
    per_warp = sum(_warp_instructions(chip, work, tile))
    words = max(1, 16 // work.word_bytes)
    x_chunks = tile.bm * STEP_BYTES // 16 / WARP
    w_chunks = tile.bn * STEP_BYTES // 16 / WARP * work.weight_bits / work.bits
    stores = 1 if tile.staged_by_registers else 0
    copies = x_chunks * (2 * words + stores) + w_chunks * (2 + stores)
    # One search serves all chunks of a thread: they lie at one k.
    return tile.warps * (per_warp + work.gather_instructions * words) + copies


def _warp_instructions(chip: Chip, work: Work, tile: Tile) -> Iterator[float]:
    rows = 8 if chip.capability < (8, 0) else 16
    depth = 16 if chip.capability < (8, 0) else 32
    passes = STEP_BYTES // depth
    yield tile.wm // rows * (tile.wn // 8) * passes
    yield (tile.wm + tile.wn) * STEP_BYTES / 512  # an ldmatrix of four tiles reads 512 bytes
    yield _LOOP_INSTRUCTIONS
    if work.weight_bits < work.bits:
        yield _UNPACK_INSTRUCTIONS * tile.wn // 8 * (STEP_BYTES // 16)


def _finish(on: Machine, work: Work, tile: Tile, *, share: int, splits: int) -> Time:
    """Of the sums: computed on in the lanes that hold them, and written."""
    elements = tile.bm * tile.bn
    moved = work.output_bytes + work.extra_bytes
    instructions = elements / WARP * work.finish_instructions
    written = work.output_bytes if splits == 1 else _from_memory(on, work.output_bytes)
    return Time(
        tensor=0.0,
        shared=0.0,
        issue=on.issue(share * instructions),
        l2=moved / on.l2,
        dram=(written + work.extra_bytes) / on.dram,
    )


def _from_memory(on: Machine, size: int) -> int:
    """What of a tensor written by an earlier kernel must come from memory: all or nothing."""
    return 0 if size <= on.kept else size


def _shared(work: Work, tile: Tile) -> int:
    return tile.shared_bytes(bits=work.bits, weight_bits=work.weight_bits)


def fits(chip: Chip, work: Work, tile: Tile) -> bool:
    """Whether one multiprocessor holds a block of this tile."""
    return resident(chip, tile, shared_bytes=_shared(work, tile)) > 0


def _require_fit(chip: Chip, work: Work, tile: Tile, splits: int) -> None:
    if not fits(chip, work, tile):
        raise TargetError(
            f"tile {tile.name} does not fit {chip.name}: {_shared(work, tile)} bytes of shared "
            f"memory, {tile.threads} threads of {tile.registers} registers; take a smaller one"
        )
    if not 1 <= splits <= work.steps:
        raise TargetError(
            f"{splits} parts of k, but {work.name} has {work.steps} steps of {STEP_BYTES} bytes: "
            f"take 1 to {work.steps}"
        )
