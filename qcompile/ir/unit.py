"""Units: what one integer step of a tensor is worth."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Affine:
    """real = scale · (q − zero_point), and scale · step · q in groups.

    Per tensor: `axis is None` and one scale. Per channel: one scale (and one or as many zero
    points) for each index of `axis`. With `group`, a channel's elements, row-major over the other
    axes, are cut into runs of that many (the last may be shorter), and each run has a whole step
    from 1 to 255: `steps` holds them row-major [channels x runs], a byte each.
    """

    scale: tuple[float, ...]
    zero_point: tuple[int, ...] = (0,)
    axis: int | None = None
    group: int | None = None
    steps: bytes = b""

    def __post_init__(self) -> None:
        if not self.scale or any(not (0 < s < float("inf")) for s in self.scale):
            raise ValueError(f"scales must be positive and finite, got {self.scale[:4]}")
        if self.axis is None and (len(self.scale) != 1 or len(self.zero_point) != 1):
            raise ValueError("a per-tensor unit has one scale and one zero point")
        if len(self.zero_point) not in (1, len(self.scale)):
            raise ValueError(
                f"{len(self.zero_point)} zero points for {len(self.scale)} scales: give 1 or all"
            )
        if (self.group is None) != (not self.steps) or 0 in self.steps:
            raise ValueError("groups have a length and a positive step each")
        if self.group is not None and (self.group < 1 or any(self.zero_point)):
            raise ValueError(f"groups of {self.group} with zero points {self.zero_point[:4]}")

    @property
    def per_tensor(self) -> bool:
        """One scale for all elements."""
        return self.axis is None

    @property
    def symmetric(self) -> bool:
        """Every zero point is 0."""
        return not any(self.zero_point)

    @property
    def whole(self) -> Affine:
        """The unit of step · q: this one without groups."""
        return Affine(self.scale, self.zero_point, self.axis)

    def step_of_each(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """The step of every element of a tensor of this shape; needs groups."""
        assert self.group is not None
        by_channel = np.frombuffer(self.steps, np.uint8).reshape(len(self.scale), -1)
        axis = 0 if self.axis is None else self.axis
        turned = np.moveaxis(np.empty(shape, bool), axis, 0).shape
        size = math.prod(shape) // len(self.scale)
        rows = np.repeat(by_channel, self.group, axis=1)[:, :size]
        return np.moveaxis(rows.reshape(turned), 0, axis)

    def scales(self, rank: int) -> NDArray[np.float64]:
        """The scales, of steps of 1, shaped to broadcast against a tensor of this rank."""
        return self._spread(np.array(self.scale, np.float64), rank)

    def zero_points(self, rank: int) -> NDArray[np.int64]:
        """The zero points, shaped to broadcast against a tensor of this rank."""
        return self._spread(np.array(self.zero_point, np.int64), rank)

    def _spread(self, values: NDArray[Any], rank: int) -> NDArray[Any]:
        if self.axis is None or values.size == 1:
            return values.reshape((1,) * rank)
        return values.reshape(tuple(-1 if i == self.axis else 1 for i in range(rank)))

    def __str__(self) -> str:
        """`0.02@3`, or `<64 scales 2aa42d axis=0>` per channel."""
        if self.axis is None and self.group is None:
            return f"{self.scale[0]:g}@{self.zero_point[0]}"
        groups = "" if self.group is None else f" group={self.group}"
        numbers = (self.scale, self.zero_point, *([self.steps] if self.steps else []))
        digest = hashlib.sha256(repr(numbers).encode()).hexdigest()[:6]
        return f"<{len(self.scale)} scales {digest} axis={self.axis}{groups}>"


def per_tensor(scale: float, zero_point: int = 0) -> Affine:
    """One scale, one zero point."""
    return Affine((float(scale),), (int(zero_point),))
