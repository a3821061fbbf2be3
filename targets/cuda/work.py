"""What a kernel has to do, in numbers: all that its time depends on and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from qcompile.targets.cuda.tiles import STEP_BYTES


@dataclass(frozen=True, slots=True)
class Work:
    """out[m][n] = finish(Σ_k x[m][k] * w[n][k]) for `places` m and `outputs` n.

    `depth_bytes` counts k as the tensor cores read it, padded or not: 8 or 4 bits an element.
    `input_bytes` are those of x that differ (a 3x3 window reads each nine times), `extra_bytes`
    what `finish` reads beside the sums (a residual), `output_bytes` all that it writes.
    `gather_instructions` find where `word_bytes` of x lie, and `finish_instructions` are those for
    one element from its sum to its bits.
    """

    places: int
    outputs: int
    depth_bytes: int
    bits: int
    weight_bits: int
    input_bytes: int
    weight_bytes: int
    output_bytes: int
    extra_bytes: int = 0
    word_bytes: int = 16
    gather_instructions: int = 12
    finish_instructions: float = 5.5

    @property
    def name(self) -> str:
        """The same for the same products and bytes, however many instructions finish them."""
        shape = f"m{self.places}n{self.outputs}k{self.depth_bytes}b{self.bits}w{self.weight_bits}"
        moved = (self.input_bytes, self.weight_bytes, self.extra_bytes, self.output_bytes)
        return shape + "-" + "-".join(map(str, moved))

    @property
    def steps(self) -> int:
        """Of k; the last is filled with zeros."""
        return -(-self.depth_bytes // STEP_BYTES)

    @property
    def macs(self) -> int:
        """Multiply-adds, those of zeros beyond the last channel or byte left out."""
        return self.places * self.outputs * self.depth_bytes * 8 // self.bits
