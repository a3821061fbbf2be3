"""How a contraction is quantized: W4A8-g128-token is weights of 4 bits, values of 8, and so on."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from qcompile.errors import UsageError

WEIGHTS = range(2, 9)
ACTIVATIONS = (4, 8)
REAL = 16  # what A16 stands for: activations that stay real
LEAST_GROUP = 8
PER_TENSOR = "-tensor"  # one scale for all tokens, also where a network would get more
_SCHEME = re.compile(r"W(\d+)A(\d+)(?:-G(\d+))?(-TOKEN|-TENSOR)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Widths:
    """Bits of weights, 2 to 8, and of activations, 4 or 8; 16 for activations that stay real.

    `group`: so many consecutive weights of an output channel share a step; None for one scale for
    the whole channel. `per_token`: each vector that is multiplied gets its scale at run time.
    """

    weight: int
    activation: int
    group: int | None = None
    per_token: bool = False

    def __post_init__(self) -> None:
        if self.weight not in WEIGHTS:
            raise UsageError(f"--scheme {self}: weights have 2 to 8 bits, not {self.weight}")
        if self.activation not in (*ACTIVATIONS, REAL):
            raise UsageError(
                f"--scheme {self}: activations have 4 or 8 bits, or 16 for reals, "
                f"not {self.activation}"
            )
        if self.activation == REAL and self.per_token:
            raise UsageError(f"--scheme {self}: reals are not scaled: leave -token out")
        if self.group is not None and self.group < LEAST_GROUP:
            raise UsageError(
                f"--scheme {self}: groups have {LEAST_GROUP} weights or more, not {self.group}"
            )
        if self.group is not None and self.weight == 8:
            raise UsageError(
                f"--scheme {self}: steps of groups are whole numbers of 8-bit steps, so 8-bit "
                f"weights gain nothing: give {replace(self, group=None)} or fewer bits"
            )

    def __str__(self) -> str:
        group = "" if self.group is None else f"-g{self.group}"
        return f"W{self.weight}A{self.activation}{group}{'-token' if self.per_token else ''}"


W8A8 = Widths(8, 8)
W4A8 = Widths(4, 8)
W4A4 = Widths(4, 4)


def parse_widths(text: str) -> Widths:
    """`W4A8-g128` → Widths(4, 8, 128). `UsageError` for other words."""
    found = _SCHEME.fullmatch(text.strip())
    if found is None:
        raise UsageError(
            f"--scheme {text}: no such scheme: give {W8A8}, {W4A8} or {W4A4}, W4A16 for weights "
            "alone; with -g128 for groups of weights, with -token for scales found at run time"
        )
    weight, activation = int(found[1]), int(found[2])
    group = None if found[3] is None else int(found[3])
    return Widths(weight, activation, group, (found[4] or "").upper() == "-TOKEN")
