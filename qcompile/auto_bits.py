"""The question behind --bits auto: what each contraction's widths damage and cost, what limits."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from qcompile.cache import Cache, default_cache
from qcompile.calibrate.samples import open_samples
from qcompile.costs.asked import asked_costs
from qcompile.costs.fit import fitted
from qcompile.costs.subject import Subject
from qcompile.coverage import macs
from qcompile.errors import UsageError
from qcompile.evidence import Known, gather, known_from
from qcompile.float_layers import with_float_layers
from qcompile.ir.node import Node
from qcompile.ir.widths import Widths
from qcompile.job import Job
from qcompile.options import Options
from qcompile.passes.assign_bits import (
    Problem,
    problem_of_widths,
    shared_inputs,
    shared_weights,
)
from qcompile.passes.assignment.problem import FLOAT_BITS
from qcompile.passes.choose_widths import ASKED, Choice, WidthRule, choose_widths
from qcompile.passes.recipe import Recipe
from qcompile.profile.lookup import wanted_table
from qcompile.progress import Progress
from qcompile.quantized import quantized
from qcompile.sensitivity.estimate import (
    DEFAULT,
    Estimator,
    estimator,
    known_damages,
    sensitivities,
)
from qcompile.sensitivity.sites import Site
from qcompile.sensitivity.study import Study, study
from qcompile.sensitivity.table import Sensitivities
from qcompile.stages import specify
from qcompile.summary import constant_bytes
from qcompile.targets import target

SAMPLES = 64  # damages are measured on at most so many
LOWERED = ("latency", "ram")  # limits whose costs are read off programs


@dataclass(frozen=True)
class Question:
    """The problem of a job's widths, by which estimator its damages were found, and what was seen
    of its values on the way."""

    problem: Problem
    estimator: str
    known: Known = field(repr=False)


def question(job: Job) -> Question:
    """Damages measured with everything else in reals, costs, and the limits of the budget."""
    options, recipe = job.options, job.recipe
    _require_costs(options)
    table = wanted_table(options)
    if options.calib is None:
        raise UsageError("--bits auto measures damage on samples: give some with --calib")
    by = estimator(options.estimator or DEFAULT)
    eight = replace(recipe, widths=WidthRule())
    specified = specify(job.real, eight)
    evidence = gather(job.graph, specified, eight, options, job.say)
    drawn = islice(open_samples(options.calib, specified), SAMPLES)
    given = study(specified, evidence.statistics, eight, drawn, threads=options.threads)
    rule = {
        node.name: (node, choice) for node, choice in choose_widths(job.real, recipe.widths).items()
    }
    allowed = {s.name: options_of(rule[s.name][1], recipe) for s in given.sites}
    whole = constant_bytes(quantized(specified, specified, evidence, eight).integer)
    subject = Subject(
        target(options.target), job.real, specified, evidence.statistics, recipe, given.sites,
        allowed, whole,
    )  # fmt: skip
    costs = asked_costs(subject, options.budget, table)
    found = _damages(given, allowed, by, job.say)
    problem = problem_of_widths(
        found.damages,
        costs.of,
        options.budget,
        ties=(*shared_weights(job.real), *shared_inputs(job.real)),
        base=costs.base,
        peaks=costs.peaks,
        together=found.together.damages(),
    )
    floats = {site.name: _float_costs(site, rule[site.name][0]) for site in given.sites}
    problem = fitted(with_float_layers(problem, floats, at_most=options.float_layers), subject)
    return Question(problem, by.name, known_from(specified, evidence))


def options_of(choice: Choice, recipe: Recipe) -> Sequence[Widths]:
    """The target's options; where a rule keeps a width of activations, those that keep it, too.

    Each scales at run time where the choice does.
    """
    if choice.why == ASKED:
        return (choice.widths,)
    per_token = choice.widths.per_token
    options = tuple(replace(option, per_token=per_token) for option in recipe.options)
    if not choice.why:
        return options
    kept = tuple(o for o in options if o.activation == choice.widths.activation)
    return kept or (choice.widths,)


def _damages(
    given: Study, allowed: Mapping[str, Sequence[Widths]], by: Estimator, say: Progress
) -> Sensitivities:
    """Measured, or found in the cache, so that a run that was ended goes on."""
    folder = default_cache(os.environ)
    cache = None if folder is None else Cache(folder)
    before = 0 if cache is None else known_damages(given, allowed, by=by, cache=cache)
    found = f", {before} of them found before" if before else ""
    say(f"sensitivities by {by.name}: {sum(map(len, allowed.values()))}{found}")
    return sensitivities(given, allowed, by=by, cache=cache, say=say.tick)


def _require_costs(options: Options) -> None:
    """`UsageError` for a limit on what nobody knows of layers in float."""
    lowered = [name for name in options.budget if name in LOWERED]
    if lowered and options.float_layers:
        raise UsageError(
            f"--budget {lowered[0]} knows nothing of layers in float: leave one of it and "
            "--float-layers out"
        )


def _float_costs(site: Site, node: Node) -> dict[str, float]:
    """Bytes of the weight and bit operations of a contraction left in float."""
    size = site.weight.data.size * site.weight.type.elem.storage.itemsize
    return {"size": size, "bops": macs(node) * FLOAT_BITS * FLOAT_BITS}
