"""The answer of an estimator as data: (contraction, widths) → damage."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from qcompile.errors import UsageError
from qcompile.ir.widths import Widths, parse_widths
from qcompile.sensitivity.together import Question, Together


@dataclass(frozen=True)
class Sensitivities:
    """`damages` adds up over contractions, as far as the estimator tells the truth.

    `facts` say what it was measured on: digests of graph and samples, their count, versions.
    `together` has what pairs damage beside that, where the estimator knows; the text form has not.
    """

    estimator: str
    facts: Mapping[str, str | int]
    damages: Mapping[Question, float] = field(repr=False)
    together: Together = field(default_factory=Together, repr=False, compare=False)

    def __post_init__(self) -> None:
        for (name, widths), damage in self.damages.items():
            if not (math.isfinite(damage) and damage >= 0):
                raise UsageError(f"{name} in {widths}: a damage of {damage} is none")

    @property
    def names(self) -> tuple[str, ...]:
        """The contractions, in graph order."""
        return tuple(dict.fromkeys(name for name, _ in self.damages))

    def options(self, name: str) -> dict[Widths, float]:
        """The damages of one contraction."""
        return {widths: d for (n, widths), d in self.damages.items() if n == name}

    @property
    def digest(self) -> str:
        """SHA-256 of the text form."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """The same bytes for the same table; numbers read back as they were."""
        sites = {n: {str(w): d for w, d in self.options(n).items()} for n in self.names}
        content = {"estimator": self.estimator, "facts": dict(self.facts), "damages": sites}
        return json.dumps(content, indent=1) + "\n"


def from_json(text: str) -> Sensitivities:
    """The table behind `to_json`. `UsageError` for other text."""
    try:
        content: Any = json.loads(text)
        damages = {
            (str(name), parse_widths(str(widths))): float(damage)
            for name, options in content["damages"].items()
            for widths, damage in options.items()
        }
        facts = {str(key): fact for key, fact in content["facts"].items()}
        return Sensitivities(str(content["estimator"]), facts, damages)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(f"not a table of sensitivities: {error!r}: measure them again") from error
