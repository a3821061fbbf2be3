"""A predicted time and what it is made of."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Time:
    """Milliseconds that each resource is busy: tensor cores, shared memory, instruction slots,
    second-level cache, memory."""

    tensor: float
    shared: float
    issue: float
    l2: float
    dram: float

    def __add__(self, other: Time) -> Time:
        """One after the other."""
        return Time(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Time)))

    def together(self, interference: float) -> float:
        """If all overlap: the slowest, and a share of the next, which gets in its way."""
        *_, second, slowest = sorted(float(getattr(self, f.name)) for f in fields(self))
        return slowest + interference * second


@dataclass(frozen=True, slots=True)
class Prediction:
    """`milliseconds` in all; `time` of each resource; `latency` of waiting for loads
    and barriers where no other block fills the gap.

    `launch` is the gap between kernels, `tail` what is lost because the last blocks do not fill
    the chip. The parts overlap: they do not sum up. Of two kernels in a row, `blocks`, `resident`
    (at once on one multiprocessor) and `rounds` are the first one's.
    """

    milliseconds: float
    time: Time
    latency: float
    launch: float
    tail: float
    blocks: int
    resident: int
    rounds: int

    @property
    def bound(self) -> str:
        """What takes longest: tensor, shared, issue, l2, dram, latency or launch."""
        parts = {f.name: float(getattr(self.time, f.name)) for f in fields(Time)}
        parts |= {"latency": self.latency, "launch": self.launch}
        return max(parts, key=lambda name: parts[name])

    def then(self, second: Prediction) -> Prediction:
        """This kernel and a second one that waits for it."""
        return Prediction(
            milliseconds=self.milliseconds + second.milliseconds,
            time=self.time + second.time,
            latency=self.latency + second.latency,
            launch=self.launch + second.launch,
            tail=self.tail + second.tail,
            blocks=self.blocks,
            resident=self.resident,
            rounds=self.rounds,
        )
