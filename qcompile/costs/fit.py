"""ram limits that hold for the arena as it is planned, gaps between buffers and all."""

from __future__ import annotations

from dataclasses import replace

from qcompile.budget import show_limit
from qcompile.costs.subject import Subject
from qcompile.errors import UsageError
from qcompile.passes.assign_bits import Assignment, OutOfReach, Problem, solve
from qcompile.passes.assignment.model import Model
from qcompile.passes.assignment.reach import lowest
from qcompile.plan_choices import FLOAT

ROUNDS = 6
NAME = "ram"


def fitted(problem: Problem, subject: Subject) -> Problem:
    """The problem with its limit on `ram` so much lower that the best choice's arena keeps it.

    Bytes alive are sums over choices, gaps are not: the limit is lowered by what the best choice
    has too much, until it has not. `UsageError` with the nearest arena when nothing is left.
    """
    asked = next((limit for limit in problem.limits if limit.name == NAME), None)
    if asked is None:
        return problem
    lowered = problem
    for _ in range(ROUNDS):
        try:
            arena = _arena(solve(lowered), lowered, subject)
        except OutOfReach:
            return _refused(problem, asked.at_most, subject)
        if arena <= asked.at_most:
            return lowered
        limit = next(limit for limit in lowered.limits if limit.name == NAME)
        lowered = _limited(lowered, limit.at_most - (arena - asked.at_most))
    return _refused(problem, asked.at_most, subject)


def _refused(problem: Problem, asked: float, subject: Subject) -> Problem:
    """Raises with the arena of the choice that has the fewest bytes alive; the problem itself when
    its other limits cannot be kept, either, or that arena is small enough."""
    others = tuple(limit for limit in problem.limits if limit.name != NAME)
    model, limit = Model(problem), next(i for i in problem.limits if i.name == NAME)
    least = lowest(model, limit, others)
    if least is None:
        return problem
    arena = _arena(solve(_limited(problem, least)), problem, subject)
    if arena <= asked:
        return _limited(problem, least)
    kept = " with the other limits kept" if others else ""
    raise UsageError(
        f"--budget cannot be met: the nearest that can{kept} is {show_limit(NAME, arena)}"
    )


def _limited(problem: Problem, at_most: float) -> Problem:
    """The problem with another limit on ram."""
    limits = (replace(i, at_most=at_most) if i.name == NAME else i for i in problem.limits)
    return replace(problem, limits=tuple(limits))


def _arena(found: Assignment, problem: Problem, subject: Subject) -> float:
    """Bytes that the target plans for a choice."""
    names = [layer.name for layer in problem.layers]
    chosen = dict(zip(names, (option.name for option in found.options), strict=True))
    by_name = {
        name: {str(widths): widths for widths in options}
        for name, options in subject.allowed.items()
    }
    widths = {n: by_name[n][option] for n, option in chosen.items() if option != FLOAT}
    return float(subject.outline(widths).arena_bytes)
