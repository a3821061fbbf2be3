"""Which widths the options ask for: a plan chosen now, one from a file, or none."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from qcompile.calibrate.statistics import Statistics
from qcompile.drop import Judge
from qcompile.evidence import Known
from qcompile.job import Job
from qcompile.passes.choose_widths import choose_widths
from qcompile.passes.recipe import Recipe
from qcompile.plan_choices import Plan, model_digest, require_fits
from qcompile.plan_file import read_plan


@dataclass(frozen=True)
class Chosen:
    """A plan, if any, and what was seen of the model's values on the way to it."""

    plan: Plan | None = None
    known: Known = field(default_factory=dict[str, Statistics], repr=False)


def wanted_plan(job: Job, judge: Judge | None) -> Chosen:
    """The plan that the options ask for: chosen now, read from a file, or none."""
    if job.options.plan is not None:
        plan = read_plan(job.options.plan)
        nodes = choose_widths(job.real, job.recipe.widths)
        require_fits(plan, model_digest(job.real), (node.name for node in nodes))
        return Chosen(plan)
    if not job.options.chooses:
        return Chosen()
    from qcompile.choosing import chosen_plan  # brings the solver and torch

    return chosen_plan(job, judge)


def with_plan(recipe: Recipe, plan: Plan | None) -> Recipe:
    """The recipe under which every contraction gets what the plan says."""
    if plan is None:
        return recipe
    widths = replace(recipe.widths, overrides={**recipe.widths.overrides, **plan.overrides})
    return replace(recipe, widths=widths, exclude=(*recipe.exclude, *plan.excluded))
