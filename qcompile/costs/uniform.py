"""The programs of a target with every contraction at one option: where costs are read off."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from glob import escape

from qcompile.calibrate.statistics import Statistics
from qcompile.errors import UsageError
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.quant import Observe
from qcompile.ir.widths import Widths
from qcompile.passes.calibrate import Calibrate, observed
from qcompile.passes.invariants import SPECIFIED
from qcompile.passes.pipeline import Pipeline
from qcompile.passes.quantize import Quantize
from qcompile.passes.recipe import Recipe
from qcompile.passes.roles import Role, role
from qcompile.stages import specify
from qcompile.targets.base import Stages, Target
from qcompile.targets.steps import ProgramStep

Offered = Collection[tuple[str, Widths]]


@dataclass(frozen=True)
class Uniform:
    """A program in which contractions have the widths of `option`, or the nearest they may have."""

    option: Widths
    widths: Mapping[str, Widths]
    steps: Sequence[ProgramStep]


def uniform_programs(
    place: Target,
    real: Graph,
    seen: tuple[Graph, Sequence[Statistics]],
    recipe: Recipe,
    offered: Offered,
) -> list[Uniform]:
    """One program for each option that some contraction is offered.

    `real` is the simplified model, `seen` a specified graph of it with the statistics of its
    observed values, which hold in any width. Biases are not corrected: that changes no cost.
    """
    options = dict.fromkeys(widths for _, widths in offered)
    found: list[Uniform] = []
    for option in sorted(options, key=_bits):
        widths = {name: nearest(option, offers) for name, offers in by_name(offered).items()}
        graph = integers(place, real, seen, recipe, widths)
        found.append(Uniform(option, widths, place.outline(graph).steps))
    return found


def integers(
    place: Target,
    real: Graph,
    seen: tuple[Graph, Sequence[Statistics]],
    recipe: Recipe,
    widths: Mapping[str, Widths],
) -> Graph:
    """What the target deploys when the named contractions have these widths."""
    exact = {escape(name): choice for name, choice in widths.items()}
    asked = replace(recipe.widths, overrides={**recipe.widths.overrides, **exact})
    chosen = replace(recipe, widths=asked)
    specified = specify(real, chosen)
    calibrated = Pipeline((Calibrate(statistics_for(specified, seen)),), frozenset({SPECIFIED}))
    graph = calibrated.run(specified)
    integer = Pipeline((Quantize(chosen),), calibrated.gives).run(graph)
    return place.deployed(Stages(real, graph, integer))


def statistics_for(specified: Graph, seen: tuple[Graph, Sequence[Statistics]]) -> list[Statistics]:
    """For each observed value what was seen of it, in whatever width that was."""
    graph, statistics = seen
    known = {_plain(edge): found for edge, found in zip(observed(graph), statistics, strict=True)}
    lacking = [edge.name for edge in observed(specified) if _plain(edge) not in known]
    if lacking:
        raise UsageError(f"no statistics of {', '.join(lacking)}: they are read in other places")
    return [known[_plain(edge)] for edge in observed(specified)]


def by_name(offered: Offered) -> dict[str, list[Widths]]:
    """The options of each contraction, fewer bits first."""
    found: dict[str, list[Widths]] = {}
    for name, widths in sorted(offered, key=lambda offer: _bits(offer[1])):
        found.setdefault(name, []).append(widths)
    return found


def nearest(option: Widths, offers: Sequence[Widths]) -> Widths:
    """The option itself if offered, else the one whose bits differ least, more before fewer."""
    return min(
        offers,
        key=lambda it: (
            abs(it.activation - option.activation),
            abs(it.weight - option.weight),
            -it.weight,
        ),
    )


def _bits(widths: Widths) -> tuple[int, int]:
    return widths.activation, widths.weight


def _plain(node: Node) -> str:
    """The name of what is observed, through observations and moves."""
    while isinstance(node, Observe) or (role(node) is Role.MOVE and node.operands):
        node = node.operands[0]
    return node.name
