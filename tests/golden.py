"""Texts that must not change by accident: `pytest --update-golden` writes them anew."""

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "golden"


@dataclass(frozen=True)
class Golden:
    """The stored texts. While they are updated, every comparison holds."""

    update: bool

    def same(self, name: str, text: str) -> None:
        """`text` is what is stored as `name`."""
        path = FOLDER / name
        if self.update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        assert text == path.read_text(), f"{name} changed: look at it, then --update-golden"
