"""--bits auto: the widths of every contraction, least damage under a budget, as a plan."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice

from qcompile.budget import show_limit
from qcompile.cache import Cache, default_cache
from qcompile.calibrate.samples import open_samples
from qcompile.coverage import macs
from qcompile.errors import UsageError
from qcompile.evidence import gather
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.widths import Widths
from qcompile.numerics.packing import packed_size
from qcompile.options import Options
from qcompile.passes.assign_bits import (
    OutOfReach,
    problem_of_widths,
    shared_inputs,
    shared_weights,
    solve,
)
from qcompile.passes.choose_widths import ASKED, Choice, WidthRule, choose_widths
from qcompile.passes.recipe import Recipe
from qcompile.plan_choices import Plan, model_digest, plan_of
from qcompile.planned import ConstantBytes
from qcompile.progress import Progress
from qcompile.sensitivity.estimate import DEFAULT, estimator, sensitivities
from qcompile.sensitivity.sites import Site
from qcompile.sensitivity.study import Study, study
from qcompile.sensitivity.table import Sensitivities
from qcompile.stages import specify

SAMPLES = 64  # damages are measured on at most so many
BUILT = ("size", "bops")  # limits that have costs


def chosen_plan(
    graph: Graph,
    real: Graph,
    recipe: Recipe,
    options: Options,
    say: Progress,
    constants: ConstantBytes,
) -> Plan:
    """The least damage within the budget, measured with everything else in reals.

    `UsageError` when the budget cannot be met, with the nearest that can.
    """
    _require_built(options.budget)
    if options.calib is None:
        raise UsageError("--bits auto measures damage on samples: give some with --calib")
    eight = replace(recipe, widths=WidthRule())
    specified = specify(real, eight)
    evidence = gather(graph, specified, eight, options, say)
    drawn = islice(open_samples(options.calib, specified), SAMPLES)
    given = study(specified, evidence.statistics, eight, drawn, threads=options.threads)
    rule = {
        node.name: (node, choice) for node, choice in choose_widths(real, recipe.widths).items()
    }
    allowed = {s.name: options_of(rule[s.name][1], recipe) for s in given.sites}
    found = _damages(given, allowed, say)
    sites = {site.name: site for site in given.sites}
    costs = {
        (name, widths): _costs(sites[name], rule[name][0], widths) for name, widths in found.damages
    }
    base = constants(specified, evidence, eight) - sum(
        site.weight.data.size for site in given.sites
    )
    problem = problem_of_widths(
        found.damages,
        costs,
        options.budget,
        ties=(*shared_weights(real), *shared_inputs(real)),
        base={"size": base},
    )
    try:
        return plan_of(problem, solve(problem), model_digest(real))
    except OutOfReach as error:
        nearest = ", ".join(show_limit(name, value) for name, value in error.nearest.items())
        raise UsageError(f"--budget cannot be met: the nearest that can is {nearest}") from error


def options_of(choice: Choice, recipe: Recipe) -> Sequence[Widths]:
    """The target's options; where a rule keeps a width of activations, those that keep it, too."""
    if choice.why == ASKED:
        return (choice.widths,)
    if not choice.why:
        return recipe.options
    kept = tuple(o for o in recipe.options if o.activation == choice.widths.activation)
    return kept or (choice.widths,)


def _damages(given: Study, allowed: Mapping[str, Sequence[Widths]], say: Progress) -> Sensitivities:
    """Measured, or found in the cache, so that a run that was ended goes on."""
    folder = default_cache(os.environ)
    cache = None if folder is None else Cache(folder)
    return sensitivities(given, allowed, by=estimator(DEFAULT), cache=cache, say=say)


def _require_built(budget: Mapping[str, float]) -> None:
    if not budget:
        raise UsageError("--bits auto wants a limit: give such as --budget size=8MB")
    later = [name for name in budget if name not in BUILT]
    if later:
        raise UsageError(f"--budget {later[0]} is not built yet: give {' or '.join(BUILT)}")


def _costs(site: Site, node: Node, widths: Widths) -> dict[str, float]:
    """Bytes of the packed weight; multiply-accumulates times the bits of both operands."""
    return {
        "size": packed_size(site.weight.data.size, widths.weight),
        "bops": macs(node) * widths.weight * widths.activation,
    }
