"""Long vectors in few numbers that keep their products: a count sketch.

Every element is added with a random sign to a random place (Charikar, Chen and Farach-Colton 2002).
Products of sketches have the mean of the products of the vectors, and a deviation of at most
√(2 / `LENGTH`) of the vectors' lengths.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from qcompile.sensitivity.torch_ops import Tensor

LENGTH = 8192


class Sketcher:
    """For vectors in parts of these lengths; what fits stays as it is."""

    def __init__(self, lengths: Sequence[int]) -> None:
        self._lengths = tuple(lengths)

    @property
    def exact(self) -> bool:
        """True when nothing is lost."""
        return sum(self._lengths) <= LENGTH

    def part(self, index: int, elements: Tensor) -> Tensor:
        """The share of one part, f64[`LENGTH`] or as long as all parts together."""
        places, signs = self._rule(index)
        found = torch.zeros(min(sum(self._lengths), LENGTH), dtype=torch.float64)
        return found.index_add_(0, places, elements.reshape(-1).double() * signs)

    def _rule(self, index: int) -> tuple[Tensor, Tensor]:
        """The place and the sign of every element of a part."""
        length = self._lengths[index]
        if self.exact:
            start = sum(self._lengths[:index])
            return torch.arange(start, start + length), torch.ones(length)
        seeded = torch.Generator().manual_seed(index)
        places = torch.randint(0, LENGTH, (length,), generator=seeded)
        return places, torch.randint(0, 2, (length,), generator=seeded) * 2.0 - 1
