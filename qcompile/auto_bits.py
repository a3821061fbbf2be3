"""The question behind --bits auto: what each contraction's widths damage and cost, what limits."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from qcompile.cache import Cache, default_cache
from qcompile.calibrate.samples import open_samples
from qcompile.coverage import macs
from qcompile.errors import UsageError
from qcompile.evidence import Known, gather, known_from
from qcompile.float_layers import with_float_layers
from qcompile.ir.node import Node
from qcompile.ir.widths import Widths
from qcompile.job import Job
from qcompile.numerics.packing import packed_size
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

SAMPLES = 64  # damages are measured on at most so many
BUILT = ("size", "bops")  # limits that have costs


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
    _require_built(options)
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
    found = _damages(given, allowed, by, job.say)
    sites = {site.name: site for site in given.sites}
    costs = {
        (name, widths): _costs(sites[name], rule[name][0], widths) for name, widths in found.damages
    }
    whole = constant_bytes(quantized(specified, specified, evidence, eight).integer)
    problem = problem_of_widths(
        found.damages,
        costs,
        options.budget,
        ties=(*shared_weights(job.real), *shared_inputs(job.real)),
        base={"size": whole - sum(site.weight.data.size for site in given.sites)},
    )
    floats = {name: _float_costs(site, rule[name][0]) for name, site in sites.items()}
    problem = with_float_layers(problem, floats, at_most=options.float_layers)
    return Question(problem, by.name, known_from(specified, evidence))


def options_of(choice: Choice, recipe: Recipe) -> Sequence[Widths]:
    """The target's options; where a rule keeps a width of activations, those that keep it, too."""
    if choice.why == ASKED:
        return (choice.widths,)
    if not choice.why:
        return recipe.options
    kept = tuple(o for o in recipe.options if o.activation == choice.widths.activation)
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


def _require_built(options: Options) -> None:
    later = [name for name in options.budget if name not in BUILT]
    if later:
        raise UsageError(f"--budget {later[0]} is not built yet: give {' or '.join(BUILT)}")


def _costs(site: Site, node: Node, widths: Widths) -> dict[str, float]:
    """Bytes of the packed weight; multiply-accumulates times the bits of both operands."""
    return {
        "size": packed_size(site.weight.data.size, widths.weight),
        "bops": macs(node) * widths.weight * widths.activation,
    }


def _float_costs(site: Site, node: Node) -> dict[str, float]:
    """The same of a contraction left in float."""
    size = site.weight.data.size * site.weight.type.elem.storage.itemsize
    return {"size": size, "bops": macs(node) * FLOAT_BITS * FLOAT_BITS}
