"""The whole front in one go: the damage at each amount of a resource, with a plan for each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits  # pyright: ignore[reportMissingTypeStubs]

from qcompile.artifact import written_whole
from qcompile.auto_bits import Question, question
from qcompile.bound import load_bound
from qcompile.calibrate.samples import kept
from qcompile.choosing import measured, unreachable
from qcompile.driver import wanted_recipe
from qcompile.drop import Judge, judge
from qcompile.front import front_facts, front_of, uniform_choices
from qcompile.job import Job
from qcompile.options import Options
from qcompile.passes.assign_bits import Assignment, OutOfReach, Problem, Use
from qcompile.plan_choices import Front, Plan, model_digest, plan_of
from qcompile.plan_file import write_plan
from qcompile.progress import Progress, silent
from qcompile.targets import target
from qcompile.transformed import transformed

FORMAT, VERSION = "qcompile pareto", 1
FACTS, PLANS = "pareto.json", "plans"
ENDLESS = 1e18  # a limit that nothing reaches: it only asks for the costs


@dataclass(frozen=True)
class Point:
    """One choice for all layers: what it uses of every resource, the damage predicted, the drop
    measured if that was asked for, and the plan behind it."""

    used: Mapping[str, float]
    damage: float
    drop: float | None
    plan: Plan

    def as_dict(self) -> dict[str, Any]:
        """The numbers, and the widths of every layer."""
        widths = {c.node: str(c.widths or "float") for c in self.plan.choices}
        numbers = {"used": dict(self.used), "damage": self.damage, "drop": self.drop}
        return {**numbers, "widths": widths}


@dataclass(frozen=True)
class Drawn:
    """A front on a resource, and one pair of widths for all layers by its name."""

    model: str
    target: str
    estimator: str
    on: str
    metric: str | None
    points: tuple[Point, ...]
    uniform: Mapping[str, Point]

    def as_dict(self) -> dict[str, Any]:
        """What stands in `pareto.json`."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "model": self.model,
            "target": self.target,
            "estimator": self.estimator,
            "on": self.on,
            "metric": self.metric,
            "points": [
                {"plan": plan_name(place), **point.as_dict()}
                for place, point in enumerate(self.points)
            ],
            "uniform": {name: point.as_dict() for name, point in self.uniform.items()},
        }


def write_pareto(drawn: Drawn, folder: Path) -> None:
    """`pareto.json`, `pareto.svg`, `pareto.png` and `plans/NN.json`: all of them or none. The same
    front gives the same bytes. A front that stands there is replaced, anything else a
    `UsageError`."""
    from qcompile.pareto_plot import plot

    with written_whole(folder, force=True, mark=FACTS) as building:
        (building / PLANS).mkdir()
        for place, point in enumerate(drawn.points):
            write_plan(point.plan, building / plan_name(place))
        (building / FACTS).write_text(json.dumps(drawn.as_dict(), indent=1) + "\n")
        plot(drawn, building)


def plan_name(place: int) -> str:
    """The plan's file in the folder."""
    return f"{PLANS}/{place:02}.json"


def pareto_front(
    model: object, options: Options, *, on: str, points: int, measure: bool, say: Progress = silent
) -> Drawn:
    """The least damage for each of up to `points` amounts of the resource `on`, and one width for
    all layers to compare it with; with `measure` every one as a whole network, too.

    Limits of `options.budget` on other resources are kept. `UsageError` when they leave nothing.
    """
    budget = {on: ENDLESS} | dict(options.budget)
    asked = options.settled
    options = replace(asked, calib=kept(asked.calib), bits="auto", budget=budget)
    with threadpool_limits(limits=1):
        graph = load_bound(model, options, say)
        recipe = wanted_recipe(target(options.target), options)
        real = transformed(graph, recipe, options, (), say).real
        job = Job(graph, real, recipe, options, say)
        return _drawn(job, on, points, judge(real, options) if measure else None)


def _drawn(job: Job, on: str, points: int, by: Judge | None) -> Drawn:
    """The question asked and answered, over and over."""
    asked = question(job)
    try:
        found = front_of(asked.problem, on, points)
    except OutOfReach as error:
        kept_limits = [name for name in job.options.budget if name != on]
        raise unreachable(error, kept_limits) from error
    front = front_facts(asked.problem, on, found)
    alike = {name: _alike(asked.problem, c) for name, c in uniform_choices(asked.problem).items()}
    return Drawn(
        model_digest(job.real),
        job.options.target,
        asked.estimator,
        on,
        None if by is None else by.metric.name,
        tuple(_point(job, asked, by, front, a) for a in found),
        {name: _point(job, asked, by, front, a) for name, a in alike.items()},
    )


def _point(job: Job, asked: Question, by: Judge | None, front: Front, found: Assignment) -> Point:
    """The plan of an assignment with all that it uses."""
    plan = plan_of(
        asked.problem, found, model_digest(job.real), estimator=asked.estimator, front=front
    )
    drop = None if by is None else measured(job, asked, by, plan)
    return Point(_used(asked.problem, found), found.objective, drop, plan)


def _used(problem: Problem, found: Assignment) -> dict[str, float]:
    """Of every limit, and of every resource that is no part of one."""
    parts = {name for limit in problem.limits for name in limit.resources}
    limits = {use.name: use.used for use in found.uses}
    free = [name for name in problem.resources if name not in parts]
    return limits | {name: problem.cost(name, found.choice) for name in free}


def _alike(problem: Problem, choice: tuple[int, ...]) -> Assignment:
    """A choice that nobody solved for."""
    options = tuple(layer.options[k] for layer, k in zip(problem.layers, choice, strict=True))
    uses = tuple(Use(i.name, problem.used(i, choice), i.at_most) for i in problem.limits)
    return Assignment(choice, options, problem.damage(choice), uses, 0.0)
