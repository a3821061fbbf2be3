"""ResNet-50's convolutions as the cost model counts them, and HAWQ-V3's times of each.

The times are facts from HAWQ's repository; hawq_t4_resnet50.json names the file and the commit.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from qcompile.targets.cuda.cost import fastest
from qcompile.targets.cuda.roofline import Machine
from qcompile.targets.cuda.tiles import STEP_BYTES
from qcompile.targets.cuda.work import Work

HAWQ: Final = Path(__file__).with_name("hawq_t4_resnet50.json")


@dataclass(frozen=True)
class Layer:
    """A square convolution, `count` times in the network; HAWQ's milliseconds by width."""

    name: str
    size: int
    channels: int
    outputs: int
    kernel: int
    stride: int
    count: int
    int8_ms: float
    int4_ms: float

    def published(self, bits: int) -> float:
        """HAWQ-V3's time, without bias, rescaling and residual."""
        return self.int8_ms if bits == 8 else self.int4_ms

    @property
    def ends_block(self) -> bool:
        """Adds the residual; the block's output stays 8 bits wide for the next addition."""
        return self.name.endswith("widen")


@dataclass(frozen=True)
class Design:
    """How the network is cut into kernels, and what finishing costs.

    `residual_bits`: width of the skip connections. `copies`: whether the 4-bit copy that the next
    convolutions read is written beside them. `rescale`, `residual`, `copy`: instructions of one
    element, counted in the machine code of ResNet-50's kernels for sm_75. There a sum becomes 4 or
    8 bits with 4.7 to 5.8 (the more where the output has a halo), with a skip 9.8 to 10.6, and
    10 to 10.5 with a skip and a copy in 4 bits; at the first block of a stage 10.3 to 12.9.
    """

    residual_bits: int = 8
    copies: bool = True
    rescale: float = 5.5
    residual: float = 5.5
    copy: float = 1.0


AS_PLANNED: Final = Design()


def layers() -> tuple[Layer, ...]:
    """All but the stem."""
    return tuple(Layer(**layer) for layer in json.loads(HAWQ.read_text())["layers"])


def work_of(layer: Layer, bits: int, batch: int, design: Design) -> Work:
    """With everything fused: bias, rescaling, residual, and the copy in 4 bits."""
    places = batch * (layer.size // layer.stride) ** 2
    taps = layer.kernel**2
    elements = places * layer.outputs
    wide = layer.ends_block or layer.name.endswith("skip")
    width = max(bits, design.residual_bits) if wide else bits
    copied = layer.ends_block and bits < width and design.copies
    return Work(
        places=places,
        outputs=layer.outputs,
        depth_bytes=-(-taps * layer.channels * bits // 8 // STEP_BYTES) * STEP_BYTES,
        bits=bits,
        weight_bits=bits,
        input_bytes=batch * layer.size**2 * layer.channels * bits // 8 // _skipped(layer),
        weight_bytes=taps * layer.channels * layer.outputs * bits // 8,
        output_bytes=elements * width // 8 + (elements * bits // 8 if copied else 0),
        extra_bytes=elements * width // 8 if layer.ends_block else 0,
        gather_instructions=12 if taps > 1 else 2,
        finish_instructions=design.rescale
        + (design.residual if layer.ends_block else 0)
        + (design.copy if copied else 0),
    )


def _skipped(layer: Layer) -> int:
    """Of so many pixels a 1x1 window with a stride reads one."""
    return layer.stride**2 if layer.kernel == 1 else 1


def stem(batch: int) -> Work:
    """7x7 over three channels padded to four bytes, 8 bits whatever the rest."""
    places = batch * 112 * 112
    return Work(
        places=places, outputs=64, depth_bytes=256, bits=8, weight_bits=8,
        input_bytes=batch * 224 * 224 * 4, weight_bytes=256 * 64, output_bytes=places * 64,
        word_bytes=4, gather_instructions=8, finish_instructions=AS_PLANNED.rescale,
    )  # fmt: skip


def tops(macs: float, milliseconds: float) -> float:
    """10^12 operations a second, a multiply-add counted as two."""
    return 2 * macs / milliseconds / 1e9


def true_macs(layer: Layer, batch: int) -> int:
    """Multiply-adds without padding."""
    places = batch * (layer.size // layer.stride) ** 2
    return places * layer.outputs * layer.channels * layer.kernel**2


def total(on: Machine, bits: int, batch: int, design: Design = AS_PLANNED) -> float:
    """Milliseconds of all convolutions but the stem."""
    works = ((layer.count, work_of(layer, bits, batch, design)) for layer in layers())
    return sum(count * fastest(on, work, None).milliseconds for count, work in works)
