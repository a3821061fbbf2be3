"""The problem as a mixed integer programme: columns, equations and caps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from math import fsum

import numpy as np
from numpy.typing import NDArray

from qcompile.passes.assignment.problem import Limit, Option, Pair, Problem, Tie

Vector = NDArray[np.float64]
Choice = tuple[int, ...]

ALIKE = 1e-12  # sums that differ by less, as parts of the largest possible sum, count as equal
LARGEST = 2.0**20  # of scaled coefficients: the solver's tolerance of 1e-6 is then within ALIKE


@dataclass(frozen=True, slots=True)
class Equation:
    """Σ weights[i] · column[columns[i]] = value."""

    columns: tuple[int, ...]
    weights: tuple[float, ...]
    value: float


@dataclass(frozen=True)
class Cap:
    """Σ coefficients · columns ≤ bound, up to `slack`: what sums of rounded numbers cannot tell."""

    coefficients: Vector
    bound: float
    slack: float

    def admits(self, point: Vector) -> bool:
        """True when the point keeps the cap, by a sum that is rounded once."""
        return self.excess(point) <= self.slack

    def excess(self, point: Vector) -> float:
        """How far the point is above the bound; negative below it."""
        return fsum([*(self.coefficients * point), -self.bound])


@dataclass(frozen=True)
class Model:
    """A 0/1 column for each option of each layer; a column from 0 to 1 for each two options of a
    pair, which is their product; and a last column, at least 0, that only `peak` uses.
    """

    problem: Problem

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Options of each layer."""
        return tuple(len(layer.options) for layer in self.problem.layers)

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """The column of each layer's first option."""
        return tuple(accumulate(self.sizes, initial=0))[:-1]

    @cached_property
    def products(self) -> tuple[int, ...]:
        """The first column of each pair."""
        counts = (self.sizes[p.a] * self.sizes[p.b] for p in self.problem.pairs)
        return tuple(accumulate(counts, initial=self.choices))[:-1]

    @property
    def choices(self) -> int:
        """How many columns are options."""
        return sum(self.sizes)

    @property
    def last(self) -> int:
        """The column of the peak."""
        return self.choices + sum(self.sizes[p.a] * self.sizes[p.b] for p in self.problem.pairs)

    def column(self, layer: int, option: int) -> int:
        """Where the option of the layer stands."""
        return self.starts[layer] + option

    def zeros(self) -> Vector:
        """Coefficients that are all 0."""
        return np.zeros(self.last + 1)

    def point(self, choice: Choice) -> Vector:
        """The columns' values for a choice; the last one 0."""
        found = self.zeros()
        found[[self.column(layer, k) for layer, k in enumerate(choice)]] = 1
        for pair, start in zip(self.problem.pairs, self.products, strict=True):
            found[start + choice[pair.a] * self.sizes[pair.b] + choice[pair.b]] = 1
        return found

    def choice(self, point: Vector) -> Choice:
        """The option of each layer whose column is largest."""
        spans = zip(self.starts, self.sizes, strict=True)
        return tuple(int(np.argmax(point[start : start + size])) for start, size in spans)

    @cached_property
    def damage(self) -> Vector:
        """The objective."""
        found = self.zeros()
        alone = [option.damage for layer in self.problem.layers for option in layer.options]
        together = [value for p in self.problem.pairs for row in p.damage for value in row]
        found[: self.last] = [*alone, *together]
        return found

    def cost(self, resource: str) -> Vector:
        """What the options cost, without the base."""
        found = self.zeros()
        found[: self.choices] = [
            option.costs[resource] for layer in self.problem.layers for option in layer.options
        ]
        return found

    def cap(self, coefficients: Vector, at_most: float) -> Cap:
        """A cap on any sum of chosen options."""
        return Cap(coefficients, at_most, ALIKE * max(abs(at_most), self.span(coefficients)))

    def caps(self, limit: Limit) -> tuple[Cap, ...]:
        """A cap for each resource of a limit."""
        base = self.problem.base
        return tuple(
            self.cap(self.cost(name), limit.at_most - base.get(name, 0.0))
            for name in limit.resources
        )

    def span(self, coefficients: Vector) -> float:
        """The largest magnitude that a sum of chosen options can have."""
        sizes = [*self.sizes, *(self.sizes[p.a] * self.sizes[p.b] for p in self.problem.pairs)]
        starts = [*self.starts, *self.products]
        spans = zip(starts, sizes, strict=True)
        return fsum(float(np.abs(coefficients[s : s + n]).max()) for s, n in spans)

    @cached_property
    def equations(self) -> tuple[Equation, ...]:
        """One option of each layer; ties; and what makes a pair's columns products."""
        one = [
            Equation(tuple(range(start, start + size)), (1.0,) * size, 1.0)
            for start, size in zip(self.starts, self.sizes, strict=True)
        ]
        tied = [e for tie in self.problem.ties for e in self._tied(tie)]
        pairs = zip(self.problem.pairs, self.products, strict=True)
        return (*one, *tied, *(e for pair, start in pairs for e in self._multiplied(pair, start)))

    def _tied(self, tie: Tie) -> Iterator[Equation]:
        """The first layer and each other one choose the same trait equally often."""
        first, *others = tie.layers
        for other in others:
            traits = {o.trait(tie.on): None for o in self._options((first, other))}
            for trait in traits:
                ours = self._having(first, tie.on, trait)
                theirs = self._having(other, tie.on, trait)
                signs = (1.0,) * len(ours) + (-1.0,) * len(theirs)
                yield Equation((*ours, *theirs), signs, 0.0)

    def _having(self, layer: int, on: str, trait: str | int) -> tuple[int, ...]:
        options = enumerate(self.problem.layers[layer].options)
        return tuple(self.column(layer, k) for k, option in options if option.trait(on) == trait)

    def _options(self, layers: Sequence[int]) -> Iterator[Option]:
        for layer in layers:
            yield from self.problem.layers[layer].options

    def _multiplied(self, pair: Pair, start: int) -> Iterator[Equation]:
        """Σ_j z_ij = y_i and Σ_i z_ij = y_j: tighter than a bound on each product."""
        rows, columns = self.sizes[pair.a], self.sizes[pair.b]
        grid = np.arange(start, start + rows * columns).reshape(rows, columns)
        sums = [
            *((grid[i], self.column(pair.a, i)) for i in range(rows)),
            *((grid[:, j], self.column(pair.b, j)) for j in range(columns)),
        ]
        for cells, whole in sums:
            signs = (1.0,) * len(cells) + (-1.0,)
            yield Equation((*(int(c) for c in cells), whole), signs, 0.0)

    def fixed(self, layers: Sequence[int], choice: Choice) -> Equation:
        """These layers choose as in `choice`."""
        columns = tuple(self.column(layer, choice[layer]) for layer in layers)
        return Equation(columns, (1.0,) * len(columns), float(len(columns)))
