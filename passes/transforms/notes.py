"""What a pass chose at a site and why: heard by whoever asks, kept nowhere else."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Note:
    """`choice` at a site, with the relative error of the contractions behind it before and after,
    or the reason why nothing was done."""

    by: str
    site: str
    role: str
    choice: str = "none"
    before: float = 0.0
    after: float = 0.0
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def unseen(by: str) -> Note:
    """Nothing was done for want of samples."""
    return Note(by, "every site", "", reason="it looks at activations: give samples")


def untold(note: Note) -> None:
    """Nobody asks."""
