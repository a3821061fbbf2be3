"""What can be had where nothing keeps all limits: the nearest value of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import ROUND_CEILING, Context

from qcompile.errors import UsageError
from qcompile.passes.assignment.highs import Task, least
from qcompile.passes.assignment.model import Model, Vector
from qcompile.passes.assignment.problem import Limit


class OutOfReach(UsageError):
    """No assignment keeps all limits.

    `nearest` is the least value of each limit with the other ones kept; where the others cannot
    be kept either, with the others lifted. `together` is a set of values that one assignment has.
    """

    def __init__(
        self, message: str, nearest: Mapping[str, float], together: Mapping[str, float]
    ) -> None:
        super().__init__(message)
        self.nearest = dict(nearest)
        self.together = dict(together)


def out_of_reach(model: Model) -> OutOfReach:
    """Why the model has no solution, found by relaxing its limits one by one and together."""
    model = _alone(model)
    limits = model.problem.limits
    if least(Task(model, model.zeros(), ())) is None:
        return OutOfReach("the ties leave no assignment, whatever the limits", {}, {})
    nearest: dict[str, float] = {}
    lines: list[str] = []
    for limit in limits:
        others = tuple(other for other in limits if other is not limit)
        kept = lowest(model, limit, others)
        value = lowest(model, limit, ()) if kept is None else kept
        assert value is not None  # the ties alone leave an assignment
        nearest[limit.name] = value
        how = (
            ""
            if not others
            else " without the other limits"
            if kept is None
            else " with the others kept"
        )
        lines.append(f"{limit.name} can be had from {upward(value)}{how}")
    together = _together(model)
    asked = ", ".join(f"{limit.name}={limit.at_most:g}" for limit in limits)
    if len(limits) > 1:
        point = ", ".join(f"{name}={upward(value)}" for name, value in together.items())
        lines.append(f"together {point} can be had")
    return OutOfReach(f"no assignment keeps {asked}: {'; '.join(lines)}", nearest, together)


def lowest(model: Model, limit: Limit, others: tuple[Limit, ...]) -> float | None:
    """The least that can be used of a limit while others are kept; None when they cannot be."""
    model = _alone(model)
    caps = tuple(cap for other in others for cap in model.caps(other))
    found = least(Task(model, _last(model), caps, peaks=_peaks(model, limit, 0.0)))
    return None if found is None else model.problem.used(limit, found.choice)


def upward(value: float) -> str:
    """Six digits, rounded up: a limit that is given so can be kept."""
    digits = Context(prec=6, rounding=ROUND_CEILING).create_decimal(repr(value))
    return f"{digits.normalize():f}"


def _alone(model: Model) -> Model:
    """Without pairs, which cost nothing."""
    return Model(replace(model.problem, pairs=())) if model.problem.pairs else model


def _together(model: Model) -> dict[str, float]:
    """The limits raised to what one assignment uses, which goes over them by the least part of
    the most that can be used."""
    problem = model.problem
    peaks = tuple(peak for i in problem.limits for peak in _peaks(model, i, i.at_most))
    found = least(Task(model, _last(model), (), peaks=peaks))
    assert found is not None  # the ties alone leave an assignment
    return {i.name: max(i.at_most, problem.used(i, found.choice)) for i in problem.limits}


def _peaks(model: Model, limit: Limit, above: float) -> tuple[tuple[Vector, float], ...]:
    """How far each resource of a limit is above a value, in parts of the most it can be."""
    costs = [(model.cost(name), model.problem.base.get(name, 0.0)) for name in limit.resources]
    span = max(model.span(cost) + abs(base) for cost, base in costs) or 1.0
    return tuple((cost / span, (base - above) / span) for cost, base in costs)


def _last(model: Model) -> Vector:
    """The column of the peak as the objective."""
    found = model.zeros()
    found[-1] = 1
    return found
