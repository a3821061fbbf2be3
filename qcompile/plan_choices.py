"""A plan: the widths of every contraction as data, each with its damage, cost and reason."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from glob import escape
from typing import TYPE_CHECKING

from qcompile.errors import UsageError
from qcompile.ir.graph import Graph
from qcompile.ir.text import dump
from qcompile.ir.widths import Widths, parse_widths
from qcompile.passes.assignment.problem import Option, Problem

if TYPE_CHECKING:  # the solver's library takes long to load, and plans are read without it
    from qcompile.passes.assignment.solution import Assignment

FLOAT = "float"


@dataclass(frozen=True, slots=True)
class PlannedChoice:
    """What one contraction gets: widths, or None to stay in float; and why."""

    node: str
    widths: Widths | None
    damage: float = 0.0
    costs: Mapping[str, float] = field(default_factory=dict[str, float])
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Solved:
    """What the solver said: the damage, how far it may be from the least, and (used, limit)."""

    objective: float
    gap: float
    limits: Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Front:
    """What else could have been chosen: (used, damage) at several limits on the resource `on`,
    and with one pair of widths for all layers, by its name."""

    on: str
    points: tuple[tuple[float, float], ...]
    uniform: Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Plan:
    """Choices by node, for the model of this digest; without `solved` when written by hand.

    `estimator`: how the damages were found. `front`: the choices around this one.
    """

    model: str
    choices: tuple[PlannedChoice, ...]
    solved: Solved | None = None
    estimator: str | None = None
    front: Front | None = None

    def __post_init__(self) -> None:
        counts = Counter(choice.node for choice in self.choices)
        again = [name for name, count in counts.items() if count > 1]
        if again:
            raise UsageError(f"the plan chooses more than once for {', '.join(again)}")

    @property
    def overrides(self) -> dict[str, Widths]:
        """What `WidthRule.overrides` takes: patterns that each mean one name."""
        return {_exactly(c.node): c.widths for c in self.choices if c.widths is not None}

    @property
    def excluded(self) -> tuple[str, ...]:
        """What `Recipe.exclude` takes: the nodes that stay in float."""
        return tuple(_exactly(c.node) for c in self.choices if c.widths is None)


def model_digest(graph: Graph) -> str:
    """SHA-256 of a simplified graph's text, which names its constants by their digests."""
    return hashlib.sha256(dump(graph).encode()).hexdigest()


def plan_of(
    problem: Problem,
    assignment: Assignment,
    model: str,
    *,
    estimator: str | None = None,
    front: Front | None = None,
) -> Plan:
    """The plan for an assignment whose layers are nodes and whose options are named by widths."""
    shown = _shown(problem, assignment)
    choices = tuple(
        PlannedChoice(
            layer.name,
            None if option.name == FLOAT else parse_widths(option.name),
            float(option.damage),
            {name: float(option.costs[resource]) for resource, name in shown.items()},
            _reason(problem, place, option, shown),
        )
        for place, (layer, option) in enumerate(
            zip(problem.layers, assignment.options, strict=True)
        )
    )
    limits = {use.name: (float(use.used), float(use.limit)) for use in assignment.uses}
    solved = Solved(assignment.objective, assignment.gap, limits)
    return Plan(model, choices, solved, estimator, front)


def require_fits(plan: Plan, model: str, nodes: Iterable[str]) -> None:
    """`UsageError` for a plan of another model, and for one that chooses for none of `nodes`."""
    known = list(nodes)
    unknown = [choice.node for choice in plan.choices if choice.node not in known]
    if plan.model != model:
        raise UsageError(
            f"--plan was made for the model {plan.model[:12]}, this one is {model[:12]}: "
            "make one for this model with --bits auto"
        )
    if unknown:
        near = get_close_matches(unknown[0], known, n=3)
        hint = f": did you mean {' or '.join(near)}?" if near else ": it has no such contraction"
        raise UsageError(f"--plan chooses for {', '.join(unknown)}{hint}")


def _shown(problem: Problem, assignment: Assignment) -> dict[str, str]:
    """Resource → the name that users know: of a limit's several ones the largest stands for it."""
    peaks = [limit for limit in problem.limits if limit.resources != (limit.name,)]
    inner = {resource for limit in peaks for resource in limit.resources}
    found = {name: name for name in problem.resources if name not in inner}
    for limit in peaks:
        costs = {r: problem.cost(r, assignment.choice) for r in limit.resources}
        found[max(costs, key=lambda resource: costs[resource])] = limit.name
    return found


def _reason(problem: Problem, place: int, chosen: Option, shown: Mapping[str, str]) -> str:
    """The chosen option beside the one of least damage, and what ties it."""
    options = problem.layers[place].options
    best = min(options, key=lambda option: option.damage)
    tied = [
        problem.layers[other].name
        for tie in problem.ties
        if place in tie.layers
        for other in tie.layers
        if other != place
    ]
    beside = f"; tied to {', '.join(dict.fromkeys(tied))}" if tied else ""
    if len(options) == 1:
        return f"the only option{beside}"
    if chosen.damage <= best.damage:
        return f"no option damages less{beside}"
    saved = {name: best.costs[r] - chosen.costs[r] for r, name in shown.items()}
    less = ", ".join(
        f"{value:.6g} {name}" for name, value in saved.items() if value > 0 and name != FLOAT
    )
    more = f"{chosen.damage - best.damage:.3g} more damage"
    if not less and any(place in (pair.a, pair.b) for pair in problem.pairs):
        return f"{more} alone than {best.name}, less together with others{beside}"
    return f"{more} than {best.name} saves {less or 'nothing'}{beside}"


def _exactly(name: str) -> str:
    """A pattern that means this name only."""
    return f"[o]{name[1:]}" if name.startswith("op:") else escape(name)
