"""Widths chosen: the least damage under a budget, or the least cost within a measured drop."""

from __future__ import annotations

from collections.abc import Collection

from qcompile.auto_bits import Question, question
from qcompile.budget import show_limit
from qcompile.drop import Judge
from qcompile.errors import UsageError
from qcompile.evidence import gather
from qcompile.front import front_facts, front_of
from qcompile.ir.graph import Graph
from qcompile.job import Job
from qcompile.passes.assign_bits import OutOfReach, solve, within_drop
from qcompile.plan_choices import Plan, model_digest, plan_of
from qcompile.planned import Chosen, with_plan
from qcompile.progress import silent
from qcompile.quantized import quantized
from qcompile.stages import specify

DEFAULT_RESOURCE = "size"


def chosen_plan(job: Job, judge: Judge | None) -> Chosen:
    """The plan that the job's options ask for. `UsageError` when no choice keeps the limits, with
    the nearest that can be kept, or the least that can be lost."""
    options = job.options
    if options.max_drop is None and not options.budget:
        raise UsageError(
            "--bits auto wants a limit: give such as --budget size=8MB, or --max-drop 1%"
        )
    asked = question(job)
    model, on = model_digest(job.real), next(iter(options.budget), DEFAULT_RESOURCE)
    try:
        if judge is None or options.max_drop is None:
            found = solve(asked.problem)
        else:
            found = within_drop(
                asked.problem,
                on,
                measure=lambda a: measured(job, asked, judge, plan_of(asked.problem, a, model)),
                at_most=options.max_drop,
            )
        front = front_facts(asked.problem, on, front_of(asked.problem, on))
    except OutOfReach as error:
        raise unreachable(error, options.budget) from error
    plan = plan_of(asked.problem, found, model, estimator=asked.estimator, front=front)
    return Chosen(plan, asked.known)


def unreachable(error: OutOfReach, asked: Collection[str]) -> UsageError:
    """The nearest of the limits that were asked for, as the user gives them."""
    known = [(name, value) for name, value in error.nearest.items() if name in asked]
    nearest = ", ".join(show_limit(name, value) for name, value in known)
    return UsageError(f"--budget cannot be met: the nearest that can is {nearest}")


def measured(job: Job, asked: Question, judge: Judge, plan: Plan) -> float:
    """The drop of the whole network under a plan."""
    recipe = with_plan(job.recipe, plan)
    specified = specify(job.real, recipe)

    def integer() -> Graph:
        evidence = gather(job.graph, specified, recipe, job.options, silent, asked.known)
        return quantized(job.real, specified, evidence, recipe).integer

    drop = judge.drop(specified, recipe, integer)
    assert plan.solved is not None
    damage = f"predicted damage {plan.solved.objective:.4g}"
    job.say(f"{damage}: {judge.metric.name} drops by {drop:.2%} when measured")
    return drop
