"""The Pareto front of a question, and one width for all layers to compare it with."""

from __future__ import annotations

from dataclasses import replace
from math import fsum

from qcompile.passes.assign_bits import Assignment, Layer, Limit, Problem, pareto
from qcompile.plan_choices import FLOAT, Front

POINTS = 8  # of the front that a compilation draws


def front_of(problem: Problem, on: str, points: int = POINTS) -> tuple[Assignment, ...]:
    """The least damage for each of up to `points` amounts of a resource, from the least that the
    other limits allow. The problem's own limit on it is lifted."""
    limits = (_lifted(problem, limit) if limit.name == on else limit for limit in problem.limits)
    return pareto(replace(problem, limits=tuple(limits)), on, points)


def limit_on(problem: Problem, on: str) -> Limit:
    """The problem's limit on a resource, or one that is not reached."""
    found = next((limit for limit in problem.limits if limit.name == on), Limit(on, 0.0))
    return _lifted(problem, found)


def front_facts(problem: Problem, on: str, found: tuple[Assignment, ...]) -> Front:
    """The front as numbers."""
    limit = limit_on(problem, on)
    points = tuple((problem.used(limit, a.choice), a.objective) for a in found)
    uniform = {
        name: (problem.used(limit, choice), problem.damage(choice))
        for name, choice in uniform_choices(problem).items()
    }
    return Front(on, points, uniform)


def uniform_choices(problem: Problem) -> dict[str, tuple[int, ...]]:
    """For each name that an option has: this option wherever a layer has it, elsewhere the one of
    least damage. From few bits to many; ties and limits are not asked."""
    names = {
        option.name: option.bits
        for layer in problem.layers
        for option in layer.options
        if option.name != FLOAT
    }
    ordered = sorted(names, key=lambda name: (names[name], name))
    return {name: tuple(_option(layer, name) for layer in problem.layers) for name in ordered}


def _option(layer: Layer, name: str) -> int:
    """The place of the option of this name, or of the one that damages least but float."""
    names = [option.name for option in layer.options]
    if name in names:
        return names.index(name)
    whole = [place for place, option in enumerate(layer.options) if option.name != FLOAT]
    return min(whole, key=lambda place: layer.options[place].damage)


def _lifted(problem: Problem, limit: Limit) -> Limit:
    """As much as can be used at all."""
    most = [
        fsum(
            [
                problem.base.get(name, 0.0),
                *(max(option.costs[name] for option in layer.options) for layer in problem.layers),
            ]
        )
        for name in limit.resources
    ]
    return replace(limit, at_most=max(most))
