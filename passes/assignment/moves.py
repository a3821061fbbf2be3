"""Too many pairs for an exact search: descent by moves of one or two layers, bounded from below.

Hammer and Rubin (1970, "Some remarks on quadratic programming with 0-1 variables"): with one option
chosen of each of n layers y'My = y'(M - lI)y + l·n, and with l the least eigenvalue the right side
is convex. So it lies above its tangent at any point, and the least of a tangent, which is a problem
without pairs, bounds it (Frank and Wolfe 1956, whose steps choose the points). What the tangents
choose are starts of the descent.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from qcompile.passes.assignment.highs import Task, least
from qcompile.passes.assignment.model import Cap, Choice, Model, Vector
from qcompile.passes.assignment.problem import Problem, Tie

EXACT = 2000  # products of options up to which the solver takes pairs as they are
TANGENTS = 6
SMALL = 1e-12  # of the largest damage: no move is worth less
Matrix = NDArray[np.float64]
Mask = NDArray[np.bool_]


def crowded(problem: Problem) -> bool:
    """True when pairs have more products than an exact search is for."""
    sizes = [len(layer.options) for layer in problem.layers]
    return sum(sizes[pair.a] * sizes[pair.b] for pair in problem.pairs) > EXACT


def descended(problem: Problem) -> tuple[Choice, float] | None:
    """The best choice found, and a proven lower bound of the damage; None without any choice.

    No move of one layer or of two to other options, limits and ties kept, damages less. Of layers
    that more than one other is tied to, moves keep what the tie compares.
    """
    moves = _Moves(problem)
    first = least(Task(moves.model, moves.model.damage, moves.caps))
    if first is None:
        return None
    start = moves.descend(first.choice)
    z, best, bound = moves.point(first.choice), start, -np.inf
    for _ in range(TANGENTS):
        image = moves.convex @ z
        tangent = moves.model.zeros()
        tangent[:-1] = 2 * image
        found = least(Task(moves.model, tangent, moves.caps))
        assert found is not None  # the caps are those of `first`
        bound = max(bound, found.bound - float(z @ image) + moves.lift)
        best = min(best, moves.descend(found.choice), key=moves.value)
        way = moves.point(found.choice) - z
        curve = float(way @ moves.convex @ way)
        step = 1.0 if curve <= 0 else min(1.0, max(0.0, -float(way @ image) / curve))
        if not step:
            break
        z = z + step * way
    return best, float(bound)


@dataclass(frozen=True)
class _Moves:
    """Columns are options, layer after layer."""

    problem: Problem

    @cached_property
    def model(self) -> Model:
        """The problem without its pairs."""
        return Model(replace(self.problem, pairs=()))

    @cached_property
    def caps(self) -> tuple[Cap, ...]:
        """Of all limits."""
        return tuple(cap for limit in self.problem.limits for cap in self.model.caps(limit))

    @cached_property
    def matrix(self) -> Matrix:
        """M: the damages of pairs, half on each side; those of single options on the diagonal."""
        model = self.model
        found = np.diag(model.damage[:-1])
        for pair in self.problem.pairs:
            rows = slice(model.starts[pair.a], model.starts[pair.a] + model.sizes[pair.a])
            columns = slice(model.starts[pair.b], model.starts[pair.b] + model.sizes[pair.b])
            found[rows, columns] = np.array(pair.damage) / 2
            found[columns, rows] = found[rows, columns].T
        return found

    @cached_property
    def convex(self) -> Matrix:
        """M - lI."""
        return self.matrix - self._lowest * np.eye(len(self.matrix))

    @property
    def lift(self) -> float:
        """l·n."""
        return self._lowest * len(self.model.sizes)

    @cached_property
    def _lowest(self) -> float:
        return min(0.0, float(np.linalg.eigvalsh(self.matrix)[0]))

    def point(self, choice: Choice) -> Vector:
        """1 for what is chosen."""
        return self.model.point(choice)[:-1]

    def value(self, choice: Choice) -> float:
        """The damage."""
        return self.problem.damage(choice)

    def descend(self, choice: Choice) -> Choice:
        """The best move of one or two layers, again and again, until none damages less."""
        worth = SMALL * float(np.abs(self.matrix).max())
        while True:
            gains = np.where(self._allowed(choice), self._changes(choice), np.inf)
            place = int(np.argmin(gains))
            if gains.flat[place] >= -worth:
                return choice
            moved = list(choice)
            for column in divmod(place, len(self.matrix)):
                layer = int(self._layer[column])
                moved[layer] = column - self.model.starts[layer]
            choice = tuple(moved)

    @cached_property
    def _layer(self) -> NDArray[np.int64]:
        return np.repeat(np.arange(len(self.model.sizes)), self.model.sizes)

    def _chosen(self, choice: Choice) -> NDArray[np.int64]:
        """For each column the chosen one of its layer."""
        return (np.array(self.model.starts) + np.array(choice))[self._layer]

    def _changes(self, choice: Choice) -> Matrix:
        """What the damage grows by when two layers go to these columns."""
        pairs = 2 * (self.matrix - np.diag(np.diag(self.matrix)))
        chosen = self._chosen(choice)
        alone = np.diag(self.matrix) + pairs @ self.point(choice)
        alone = alone - alone[chosen]
        from_one, to_one = pairs[:, chosen], pairs[chosen]
        cross = pairs - from_one - to_one + pairs[chosen][:, chosen]
        return alone[:, None] + alone[None, :] + cross

    def _allowed(self, choice: Choice) -> Mask:
        """Which two columns keep limits and ties; not two of one layer."""
        chosen, point = self._chosen(choice), self.model.point(choice)
        found = self._keeping(choice)
        for cap in self.caps:
            costs = cap.coefficients[:-1] - cap.coefficients[:-1][chosen]
            found &= costs[:, None] + costs[None, :] <= cap.slack - cap.excess(point)
        return found

    def _keeping(self, choice: Choice) -> Mask:
        keeps = np.ones(len(self.matrix), bool)
        for tie in self.problem.ties:
            keeps &= self._traits_kept(tie, choice)
        found = keeps[:, None] & keeps[None, :]
        for tie in (tie for tie in self.problem.ties if len(tie.layers) == 2):
            found |= self._together(tie, choice)
        return found & (self._layer[:, None] != self._layer[None, :])

    def _traits_kept(self, tie: Tie, choice: Choice) -> Mask:
        """Columns outside of the tie, and those of the trait that is chosen now."""
        layers = self.problem.layers
        now = layers[tie.layers[0]].options[choice[tie.layers[0]]].trait(tie.on)
        return np.array(
            [
                place not in tie.layers or option.trait(tie.on) == now
                for place, layer in enumerate(layers)
                for option in layer.options
            ]
        )

    def _together(self, tie: Tie, choice: Choice) -> Mask:
        """Both layers of a tie to one other trait, all other ties kept."""
        others = np.ones(len(self.matrix), bool)
        for other in (other for other in self.problem.ties if other is not tie):
            others &= self._traits_kept(other, choice)
        found = np.zeros(self.matrix.shape, bool)
        for a, b in (tie.layers, tie.layers[::-1]):
            for i, one in enumerate(self.problem.layers[a].options):
                for j, two in enumerate(self.problem.layers[b].options):
                    same = one.trait(tie.on) == two.trait(tie.on)
                    found[self.model.column(a, i), self.model.column(b, j)] = same
        return found & others[:, None] & others[None, :]
