"""The least damage for each amount of one resource."""

from __future__ import annotations

from dataclasses import replace

from qcompile.errors import UsageError
from qcompile.passes.assignment.model import Model
from qcompile.passes.assignment.problem import Limit, Problem
from qcompile.passes.assignment.reach import lowest, out_of_reach
from qcompile.passes.assignment.solution import Assignment, solve


def pareto(problem: Problem, resource: str, points: int) -> tuple[Assignment, ...]:
    """Assignments of growing use and falling damage: the best at `points` evenly spaced limits
    from the least use that the other limits and ties allow to all that is worth using.

    Limits that lead to the same damage count once, so there may be fewer. A limit that the problem
    has on the resource ends the front.
    """
    if points < 2:
        raise UsageError(f"{points} points make no front: give 2 or more")
    own = next((limit for limit in problem.limits if limit.name == resource), None)
    if own is None and resource not in problem.resources:
        raise UsageError(f"nothing costs {resource}: there are {', '.join(problem.resources)}")
    others = tuple(limit for limit in problem.limits if limit is not own)
    wide = own or Limit(resource, 0.0)
    low = lowest(Model(problem), wide, others)
    if low is None:
        raise out_of_reach(Model(problem))
    high = problem.used(wide, solve(problem if own else replace(problem, limits=others)).choice)
    found: list[Assignment] = []
    for step in range(points):
        limit = replace(wide, at_most=low + (high - low) * step / (points - 1))
        best = solve(replace(problem, limits=(limit, *others)))
        if not found or best.objective < found[-1].objective:
            found.append(best)
    return tuple(found)
