"""The null space of sparse integer equations, over the rationals, in nearly linear time.

Almost every equation ties two unknowns or pins one: weighted union-find. What is left, a few
equations of three unknowns or more, is eliminated by Gauss's method on sparse rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

Row: TypeAlias = dict[int, Fraction]
Equation: TypeAlias = tuple[tuple[int, int | Fraction], ...]
"""(unknown, coefficient) …: the sum is 0."""


@dataclass(frozen=True)
class NullSpace:
    """For each free unknown the unknowns that follow it, with their factors."""

    basis: Mapping[int, Mapping[int, Fraction]]


def null_space(
    count: int, equations: Iterable[Equation], *, dependent: Callable[[int], bool]
) -> NullSpace:
    """All solutions. Unknowns that are tied to `dependent` ones only follow others where they can.

    Among the rest the last of an equation follows the earlier ones.
    """
    ties = _Ties(count)
    waiting = list(equations)
    before = -1
    while len(waiting) != before:
        before = len(waiting)
        waiting = [equation for equation in waiting if not ties.take(ties.reduced(equation))]
    roots = [ties.find(unknown) for unknown in range(count)]
    leading = {root for unknown, (root, _) in enumerate(roots) if not dependent(unknown)}
    solved = _eliminated([ties.reduced(e) for e in waiting], lambda root: (root in leading, -root))
    basis: dict[int, dict[int, Fraction]] = {}
    for unknown, (root, weight) in enumerate(roots):
        if weight == 0:
            continue
        for free, factor in solved.get(root, {root: Fraction(1)}).items():
            basis.setdefault(free, {})[unknown] = factor * weight
    return NullSpace(basis)


class _Ties:
    """Union-find: each unknown is a rational multiple of its parent, 0 when it is pinned."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))
        self._weight = [Fraction(1)] * count

    def find(self, unknown: int) -> tuple[int, Fraction]:
        """(root, factor): unknown = factor · root; shortens the path."""
        path: list[int] = []
        while self._parent[unknown] != unknown:
            path.append(unknown)
            unknown = self._parent[unknown]
        weight = self._weight[unknown]
        for step in reversed(path):
            weight = self._weight[step] = self._weight[step] * weight
            self._parent[step] = unknown
        return unknown, weight

    def reduced(self, equation: Equation) -> Row:
        """The equation in roots."""
        row: Row = {}
        for unknown, coefficient in equation:
            root, weight = self.find(unknown)
            row[root] = row.get(root, Fraction(0)) + coefficient * weight
        return {root: value for root, value in row.items() if value}

    def take(self, row: Row) -> bool:
        """Takes an equation of two unknowns or less; False for a longer one."""
        match tuple(row.items()):
            case ():
                return True
            case ((only, _),):
                self._weight[only] = Fraction(0)
                return True
            case ((a, x), (b, y)):
                self._parent[b], self._weight[b] = a, -x / y
                return True
            case _:
                return False


def _eliminated(rows: list[Row], pivot: Callable[[int], tuple[bool, int]]) -> dict[int, Row]:
    """Each dependent unknown in terms of the free ones."""
    solved: dict[int, Row] = {}
    for row in rows:
        row = _substituted(row, solved)
        if not row:
            continue
        dependent = min(row, key=pivot)
        lead = row.pop(dependent)
        fresh = {unknown: -value / lead for unknown, value in row.items()}
        for other, found in solved.items():
            if dependent in found:
                solved[other] = _substituted(found, {dependent: fresh})
        solved[dependent] = fresh
    return solved


def _substituted(row: Row, solved: Mapping[int, Row]) -> Row:
    total: Row = {}
    for unknown, value in row.items():
        for other, factor in solved.get(unknown, {unknown: Fraction(1)}).items():
            total[other] = total.get(other, Fraction(0)) + value * factor
    return {unknown: value for unknown, value in total.items() if value}
