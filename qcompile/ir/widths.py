"""How many bits a contraction's weights and activations have: W4A8 is 4 and 8."""

from __future__ import annotations

import re
from dataclasses import dataclass

from qcompile.errors import UsageError

WEIGHTS = range(2, 9)
ACTIVATIONS = (4, 8)
_SCHEME = re.compile(r"W(\d+)A(\d+)(-G\d+)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Widths:
    """Bits of weights, 2 to 8, and of activations, 4 or 8."""

    weight: int
    activation: int

    def __post_init__(self) -> None:
        if self.weight not in WEIGHTS:
            raise UsageError(f"--scheme {self}: weights have 2 to 8 bits, not {self.weight}")
        if self.activation not in ACTIVATIONS:
            raise UsageError(
                f"--scheme {self}: activations have 4 or 8 bits, not {self.activation}"
            )

    def __str__(self) -> str:
        return f"W{self.weight}A{self.activation}"


W8A8 = Widths(8, 8)
W4A8 = Widths(4, 8)
W4A4 = Widths(4, 4)


def parse_widths(text: str) -> Widths:
    """`W4A8` → Widths(4, 8). `UsageError` for other words, and for what is not built yet."""
    found = _SCHEME.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"--scheme {text}: no such scheme: give {W8A8}, {W4A8} or {W4A4}")
    weight, activation, group = int(found[1]), int(found[2]), found[3]
    if group is not None:
        raise UsageError(
            f"--scheme {text}: scales for groups are not built yet: leave {group} out, "
            "each output channel has a scale of its own"
        )
    if activation in (16, 32):
        raise UsageError(
            f"--scheme {text}: activations that stay real are not built yet: give W{weight}A8, or "
            "keep layers in float with --exclude"
        )
    return Widths(weight, activation)
