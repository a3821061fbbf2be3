"""The assignment problem as data: layers with options, limits, ties, pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import fsum

from qcompile.errors import UsageError

FLOAT_BITS = 32
ENDLESS = 1e200  # larger numbers have no sums; neither has NaN, which no bound holds for


@dataclass(frozen=True, slots=True)
class Option:
    """One way to compute a layer: what it damages and what it costs, by resource.

    `bits` are those of the weights, 32 for a layer left in float. `traits` are what ties may
    compare beside the name, such as `{"activation": 8}`.
    """

    name: str
    bits: int
    damage: float
    costs: Mapping[str, float] = field(default_factory=dict[str, float])
    traits: Mapping[str, int] = field(default_factory=dict[str, int])

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= FLOAT_BITS:
            raise UsageError(f"option {self.name}: {self.bits} bits: give 1 to {FLOAT_BITS}")
        for what, value in {"damage": self.damage, **self.costs}.items():
            if not abs(value) < ENDLESS:
                raise UsageError(f"option {self.name}: {what} is {value}: give a finite number")

    def trait(self, on: str) -> str | int:
        """What a tie on `on` compares; a `KeyError` when the option has no such trait."""
        return self.name if on == NAME else self.traits[on]


NAME = "name"


@dataclass(frozen=True, slots=True)
class Layer:
    """A choice to make: options of distinct names, all with costs in the same resources."""

    name: str
    options: tuple[Option, ...]

    def __post_init__(self) -> None:
        if not self.options:
            raise UsageError(f"layer {self.name} has no option: give at least one")
        again = _repeated(option.name for option in self.options)
        if again:
            raise UsageError(f"layer {self.name} has several options named {', '.join(again)}")
        for option in self.options:
            if option.costs.keys() != self.options[0].costs.keys():
                raise UsageError(
                    f"layer {self.name}: option {option.name} costs {_listed(option.costs)}, "
                    f"option {self.options[0].name} {_listed(self.options[0].costs)}: "
                    "give all options the same resources"
                )


@dataclass(frozen=True, slots=True)
class Limit:
    """The largest of the sums over `resources` is at most `at_most`.

    One resource of the limit's own name when none is given. Several are a peak, such as the bytes
    alive at each step: each is kept below the limit.
    """

    name: str
    at_most: float
    resources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not abs(self.at_most) < ENDLESS:
            raise UsageError(f"limit {self.name}={self.at_most}: give a finite number")
        if not self.resources:
            object.__setattr__(self, "resources", (self.name,))


@dataclass(frozen=True, slots=True)
class Tie:
    """Layers, by position, whose options agree on a trait; on the name unless said otherwise."""

    layers: tuple[int, ...]
    on: str = NAME

    def __post_init__(self) -> None:
        if len(self.layers) < 2 or _repeated(self.layers):
            raise UsageError(f"tie {list(self.layers)}: give two or more distinct layers")


@dataclass(frozen=True, slots=True)
class Pair:
    """What two layers damage together: a row for each option of `a`, a column for each of `b`."""

    a: int
    b: int
    damage: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        if self.a == self.b:
            raise UsageError(f"pair {self.a}, {self.b}: give two different layers")
        if not all(abs(value) < ENDLESS for row in self.damage for value in row):
            raise UsageError(f"pair {self.a}, {self.b}: damages are finite numbers")


@dataclass(frozen=True, slots=True)
class Problem:
    """Choose one option of each layer: Σ damage is least, each limit holds, tied layers agree.

    `base` is what a resource costs whatever is chosen. A problem that is built is well formed; it
    may still have no solution.
    """

    layers: tuple[Layer, ...]
    limits: tuple[Limit, ...] = ()
    ties: tuple[Tie, ...] = ()
    pairs: tuple[Pair, ...] = ()
    base: Mapping[str, float] = field(default_factory=dict[str, float])

    def __post_init__(self) -> None:
        if not self.layers:
            raise UsageError("nothing to assign: the problem has no layers")
        again = _repeated(layer.name for layer in self.layers)
        if again:
            raise UsageError(f"several layers named {', '.join(again)}")
        self._check_resources()
        for tie in self.ties:
            self._check_tie(tie)
        for pair in self.pairs:
            self._check_pair(pair)
        twice = _repeated(f"{min(p.a, p.b)}, {max(p.a, p.b)}" for p in self.pairs)
        if twice:
            raise UsageError(f"several pairs for the layers {'; '.join(twice)}")

    @property
    def resources(self) -> tuple[str, ...]:
        """What the options cost, in the order of the first one."""
        return tuple(self.layers[0].options[0].costs)

    def damage(self, choice: tuple[int, ...]) -> float:
        """Σ of the chosen options' damages, alone and in pairs; the sum is rounded once."""
        chosen = zip(self.layers, choice, strict=True)
        alone = [layer.options[k].damage for layer, k in chosen]
        return fsum([*alone, *(pair.damage[choice[pair.a]][choice[pair.b]] for pair in self.pairs)])

    def cost(self, resource: str, choice: tuple[int, ...]) -> float:
        """What the chosen options and the base cost; the sum is rounded once."""
        chosen = zip(self.layers, choice, strict=True)
        costs = [layer.options[k].costs[resource] for layer, k in chosen]
        return fsum([self.base.get(resource, 0.0), *costs])

    def used(self, limit: Limit, choice: tuple[int, ...]) -> float:
        """What the chosen options take of a limit."""
        return max(self.cost(resource, choice) for resource in limit.resources)

    def _check_resources(self) -> None:
        known = self.layers[0].options[0].costs
        for layer in self.layers:
            if layer.options[0].costs.keys() != known.keys():
                raise UsageError(
                    f"layer {layer.name} costs {_listed(layer.options[0].costs)}, layer "
                    f"{self.layers[0].name} {_listed(known)}: give all the same resources"
                )
        again = _repeated(limit.name for limit in self.limits)
        if again:
            raise UsageError(f"several limits named {', '.join(again)}")
        asked = [resource for limit in self.limits for resource in limit.resources]
        unknown = [name for name in (*asked, *self.base) if name not in known]
        if unknown:
            raise UsageError(f"nothing costs {', '.join(unknown)}: there are {_listed(known)}")
        for name, cost in self.base.items():
            if not abs(cost) < ENDLESS:
                raise UsageError(f"the base costs {cost} {name}: give a finite number")

    def _check_tie(self, tie: Tie) -> None:
        self._check_places("tie", tie.layers)
        values: list[frozenset[str | int]] = []
        for place in tie.layers:
            layer = self.layers[place]
            if tie.on != NAME and any(tie.on not in o.traits for o in layer.options):
                raise UsageError(
                    f"layer {layer.name} has options without {tie.on}, which its tie compares"
                )
            values.append(frozenset(option.trait(tie.on) for option in layer.options))
        if not frozenset[str | int].intersection(*values):
            names = ", ".join(self.layers[place].name for place in tie.layers)
            raise UsageError(f"tied layers {names} have no {tie.on} in common")

    def _check_pair(self, pair: Pair) -> None:
        self._check_places("pair", (pair.a, pair.b))
        a, b = self.layers[pair.a], self.layers[pair.b]
        shape = (len(a.options), len(b.options))
        if len(pair.damage) != shape[0] or any(len(row) != shape[1] for row in pair.damage):
            raise UsageError(
                f"pair {a.name}, {b.name}: give {shape[0]} rows of {shape[1]} damages, "
                "one for each two options"
            )

    def _check_places(self, what: str, places: Iterable[int]) -> None:
        outside = [str(place) for place in places if not 0 <= place < len(self.layers)]
        if outside:
            raise UsageError(
                f"{what} names layer {', '.join(outside)}: there are 0 to {len(self.layers) - 1}"
            )


def _repeated(names: Iterable[str] | Iterable[int]) -> list[str]:
    return [str(name) for name, count in Counter[str | int](names).items() if count > 1]


def _listed(costs: Mapping[str, float]) -> str:
    return ", ".join(costs) or "nothing"
