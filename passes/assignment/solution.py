"""The least damage, and of several assignments with it the cheapest first one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

from qcompile.passes.assignment.highs import Found, Task, least
from qcompile.passes.assignment.model import Cap, Choice, Model, Vector
from qcompile.passes.assignment.moves import crowded, descended
from qcompile.passes.assignment.problem import Option, Problem
from qcompile.passes.assignment.reach import out_of_reach

RANKS = 2**16  # choices told apart in one run


@dataclass(frozen=True, slots=True)
class Use:
    """How much of a limit an assignment takes."""

    name: str
    used: float
    limit: float

    @property
    def share(self) -> float:
        """The part of the limit that is used; infinite where the limit is 0 or less and used."""
        if self.limit > 0:
            return self.used / self.limit
        return 0.0 if self.used < self.limit else float("inf")


@dataclass(frozen=True, slots=True)
class Assignment:
    """An option for each layer, the damage they do, what they use, and the proof's gap.

    `gap` is (objective - lower bound) / |objective|: 0.0 for an optimum that is proven up to one
    part in 10^12 of the largest damage.
    """

    choice: Choice
    options: tuple[Option, ...]
    objective: float
    uses: tuple[Use, ...]
    gap: float

    @property
    def bits(self) -> tuple[int, ...]:
        """Of each layer's weights."""
        return tuple(option.bits for option in self.options)

    @property
    def used(self) -> float:
        """Of the tightest limit; 0 without limits."""
        return self._tightest.used

    @property
    def limit(self) -> float:
        """The tightest limit, infinite without limits."""
        return self._tightest.limit

    @property
    def _tightest(self) -> Use:
        return max(self.uses, key=lambda use: use.share, default=Use("", 0.0, float("inf")))


def solve(problem: Problem, nodes: int | None = None) -> Assignment:
    """The assignment of least damage that keeps every limit and tie, found by HiGHS.

    Of several with the same damage, the one that takes least of what is limited, each resource
    counted in parts of the most it can cost; of several still, the one whose first layers take the
    options given first. So the answer depends on the problem alone, not on the solver's way.

    `nodes` bounds the search tree for large problems: then the answer is the best one seen, `gap`
    says how far from the best it may be, and which of several is left open. So it is where pairs
    have too many products to be searched exactly (see `moves`).

    `OutOfReach`, a `UsageError`, when no assignment keeps all limits.
    """
    if crowded(problem):
        near = descended(problem)
        if near is None:
            raise out_of_reach(Model(problem))
        return assignment(problem, *near)
    model = Model(problem)
    caps = tuple(cap for limit in problem.limits for cap in model.caps(limit))
    task = Task(model, model.damage, caps, nodes=nodes)
    found = least(task)
    if found is None:
        raise out_of_reach(model)
    tolerance = model.cap(model.damage, problem.damage(found.choice))
    proven = problem.damage(found.choice) - found.bound <= 2 * tolerance.slack
    choice = _first_of_equals(task, found) if proven and nodes is None else found.choice
    return assignment(problem, choice, found.bound if not proven else None)


def assignment(problem: Problem, choice: Choice, bound: float | None) -> Assignment:
    """A choice with what it does and uses; its gap is 0 without a bound."""
    objective = problem.damage(choice)
    away = 0.0 if bound is None else max(0.0, objective - bound)
    return Assignment(
        choice=choice,
        options=tuple(n.options[k] for n, k in zip(problem.layers, choice, strict=True)),
        objective=objective,
        uses=tuple(Use(i.name, problem.used(i, choice), i.at_most) for i in problem.limits),
        gap=away / abs(objective) if away and objective else away,
    )


def _first_of_equals(task: Task, found: Found) -> Choice:
    """Of all choices that are as good: cheapest, then first in the order of options."""
    model, choice = task.model, found.choice
    task = replace(task, caps=(*task.caps, _as_good(model, model.damage, choice)))
    if _is_alone(task, choice):
        return choice
    shares = _shares(model)
    if shares.any():
        choice = _best(task, shares, choice)
        task = replace(task, caps=(*task.caps, _as_good(model, shares, choice)))
    for layers in _chunks(model):
        choice = _best(task, _ranks(model, layers), choice)
        task = replace(task, equations=(*task.equations, model.fixed(layers, choice)))
    return choice


def _is_alone(task: Task, choice: Choice) -> bool:
    """True when no other choice keeps the task's caps: each has all options in common with it."""
    model = task.model
    same = model.point(choice)
    same[model.choices :] = 0
    other = least(replace(task, objective=same))
    return other is None or other.choice == choice


def _best(task: Task, objective: Vector, known: Choice) -> Choice:
    """The least of an objective; the known choice where none is found within the tolerance."""
    found = least(replace(task, objective=objective))
    return known if found is None else found.choice


def _as_good(model: Model, objective: Vector, choice: Choice) -> Cap:
    """No choice that is worse than this one."""
    point = model.point(choice)
    return model.cap(objective, float((objective * point).sum()))


def _shares(model: Model) -> Vector:
    """What options take of all limits, each as a part of the most that can be taken."""
    total = model.zeros()
    for limit in model.problem.limits:
        for resource in limit.resources:
            cost = model.cost(resource)
            span = model.span(cost)
            total += cost / span if span else cost
    return total


def _chunks(model: Model) -> Iterator[tuple[int, ...]]:
    """Layers in order, as many at a time as one run can rank."""
    taken: list[int] = []
    for layer, size in enumerate(model.sizes):
        if taken and prod(model.sizes[i] for i in taken) * size > RANKS:
            yield tuple(taken)
            taken = []
        taken.append(layer)
    yield tuple(taken)


def _ranks(model: Model, layers: tuple[int, ...]) -> Vector:
    """Positions of options as digits of one number, the first layer's the highest."""
    found = model.zeros()
    weight = 1
    for layer in reversed(layers):
        start, size = model.starts[layer], model.sizes[layer]
        found[start : start + size] = [weight * k for k in range(size)]
        weight *= size
    return found
