"""The cheapest assignment whose measured drop is small enough."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from qcompile.errors import UsageError
from qcompile.passes.assignment.model import Choice, Model
from qcompile.passes.assignment.problem import Limit, Problem
from qcompile.passes.assignment.reach import lowest, out_of_reach
from qcompile.passes.assignment.solution import Assignment, solve


def within_drop(
    problem: Problem,
    resource: str,
    *,
    measure: Callable[[Assignment], float],
    at_most: float,
    rounds: int = 8,
) -> Assignment:
    """Halves the range of limits on `resource` so often, between the least that can be used and
    all that is worth using, towards the smallest limit whose best assignment drops no more than
    `at_most` when measured; no assignment is measured twice.

    Limits that the problem has are kept. `UsageError` when even the least damage drops more.
    """
    others = tuple(limit for limit in problem.limits if limit.name != resource)
    own = next((limit for limit in problem.limits if limit.name == resource), None)
    wide = own or Limit(resource, 0.0)
    best = solve(problem)
    drops = {best.choice: measure(best)}
    if drops[best.choice] > at_most:
        raise UsageError(
            f"the least that can be lost is {100 * drops[best.choice]:.4g}%, more than "
            f"{100 * at_most:.4g}%: allow a larger drop or a larger budget, or let some layers "
            "stay in float"
        )
    low = lowest(Model(problem), wide, others)
    if low is None:
        raise out_of_reach(Model(problem))
    high = problem.used(wide, best.choice)
    limit = low
    for _ in range(rounds):
        found = solve(replace(problem, limits=(replace(wide, at_most=limit), *others)))
        if _measured(found, drops, measure) <= at_most:
            best, high = found, problem.used(wide, found.choice)
        else:
            low = limit
        if high <= low:
            break
        limit = (low + high) / 2
    return best


def _measured(
    found: Assignment, drops: dict[Choice, float], measure: Callable[[Assignment], float]
) -> float:
    """The drop, from the table when it was measured before."""
    if found.choice not in drops:
        drops[found.choice] = measure(found)
    return drops[found.choice]
