"""What options of different contractions damage together, beyond what each does alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.ir.widths import Widths

Question = tuple[str, Widths]
Vector = NDArray[Any]
PairDamages = Mapping[tuple[str, str], Mapping[tuple[Widths, Widths], float]]


def _none() -> Vector:
    return np.zeros((0, 0))


@dataclass(frozen=True, eq=False)
class Together:
    """`products` [questions, questions] are mean products of the outputs' errors."""

    questions: tuple[Question, ...] = ()
    products: Vector = field(default_factory=_none, repr=False)

    def with_part(self, share: float, vectors: Mapping[Question, Vector]) -> Together:
        """With the vectors of so large a share of the samples, for the same questions."""
        if not vectors:
            return self
        rows = np.stack(list(vectors.values())).astype(np.float64)
        products = share * (rows @ rows.T)
        old = self.products if self.questions else np.zeros_like(products)
        return Together(tuple(vectors), old + products)

    def damages(self) -> PairDamages:
        """For each two contractions that of each two of their options."""
        places: dict[str, list[int]] = {}
        for place, (name, _) in enumerate(self.questions):
            places.setdefault(name, []).append(place)
        return {
            (a, b): {
                (self.questions[i][1], self.questions[j][1]): 2 * float(self.products[i, j])
                for i, j in product(places[a], places[b])
            }
            for a, b in combinations(places, 2)
        }

    def damage(self, chosen: Mapping[str, Widths]) -> float:
        """Of all chosen options together: the squared length of the errors' sum."""
        wanted = set(chosen.items())
        places = [place for place, q in enumerate(self.questions) if q in wanted]
        return float(self.products[np.ix_(places, places)].sum())
