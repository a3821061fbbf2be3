"""Which widths the options ask for: a plan chosen now, one from a file, or none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from qcompile.evidence import Evidence
from qcompile.ir.graph import Graph
from qcompile.options import Options
from qcompile.passes.choose_widths import choose_widths
from qcompile.passes.recipe import Recipe
from qcompile.plan_choices import Plan, model_digest, require_fits
from qcompile.plan_file import read_plan
from qcompile.progress import Progress

ConstantBytes = Callable[[Graph, Evidence, Recipe], int]


def wanted_plan(
    graph: Graph,
    real: Graph,
    recipe: Recipe,
    options: Options,
    say: Progress,
    constants: ConstantBytes,
) -> Plan | None:
    """The plan that the options ask for, if any.

    `graph` is the model as read, `real` the same simplified. `constants` counts the bytes of an
    integer program from its specified graph.
    """
    if options.plan is not None:
        plan = read_plan(options.plan)
        require_fits(
            plan, model_digest(real), (node.name for node in choose_widths(real, recipe.widths))
        )
        return plan
    if options.bits != "auto":
        return None
    from qcompile.auto_bits import chosen_plan  # brings the solver and torch

    return chosen_plan(graph, real, recipe, options, say, constants)


def with_plan(recipe: Recipe, plan: Plan | None) -> Recipe:
    """The recipe under which every contraction gets what the plan says."""
    if plan is None:
        return recipe
    widths = replace(recipe.widths, overrides={**recipe.widths.overrides, **plan.overrides})
    return replace(recipe, widths=widths, exclude=(*recipe.exclude, *plan.excluded))
