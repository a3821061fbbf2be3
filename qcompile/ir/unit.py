"""Units: what one integer step of a tensor is worth."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Affine:
    """real = scale · (q − zero_point).

    Per tensor: `axis is None` and one scale. Per channel: one scale (and one or as many zero
    points) for each index of `axis`. With `group`, blocks of that many consecutive elements of
    the contraction axis share a scale, row-major [channels x blocks].
    """

    scale: tuple[float, ...]
    zero_point: tuple[int, ...] = (0,)
    axis: int | None = None
    group: int | None = None

    def __post_init__(self) -> None:
        if not self.scale or any(not (0 < s < float("inf")) for s in self.scale):
            raise ValueError(f"scales must be positive and finite, got {self.scale[:4]}")
        if self.axis is None and (len(self.scale) != 1 or len(self.zero_point) != 1):
            raise ValueError("a per-tensor unit has one scale and one zero point")
        if len(self.zero_point) not in (1, len(self.scale)):
            raise ValueError(
                f"{len(self.zero_point)} zero points for {len(self.scale)} scales: give 1 or all"
            )

    @property
    def per_tensor(self) -> bool:
        """One scale for all elements."""
        return self.axis is None

    @property
    def symmetric(self) -> bool:
        """Every zero point is 0."""
        return not any(self.zero_point)

    def scales(self, rank: int) -> NDArray[np.float64]:
        """The scales, shaped to broadcast against a tensor of this rank."""
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
        if self.axis is None:
            return f"{self.scale[0]:g}@{self.zero_point[0]}"
        digest = hashlib.sha256(repr((self.scale, self.zero_point)).encode()).hexdigest()[:6]
        return f"<{len(self.scale)} scales {digest} axis={self.axis}>"


def per_tensor(scale: float, zero_point: int = 0) -> Affine:
    """One scale, one zero point."""
    return Affine((float(scale),), (int(zero_point),))
