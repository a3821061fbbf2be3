"""Contractions and their widths, damages and costs → Problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qcompile.errors import UsageError
from qcompile.ir.widths import Widths
from qcompile.passes.assignment.problem import Layer, Limit, Option, Pair, Problem, Tie

WEIGHT, ACTIVATION = "weight", "activation"

Choices = Mapping[tuple[str, Widths], float]
Together = Mapping[tuple[str, str], Mapping[tuple[Widths, Widths], float]]
Costs = Mapping[tuple[str, Widths], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class NamedTie:
    """Contractions that get the same bits of `on`: `weight`, `activation`, or both by `name`."""

    nodes: tuple[str, ...]
    on: str


def problem_of_widths(
    damages: Choices,
    costs: Costs,
    budget: Mapping[str, float],
    *,
    ties: Sequence[NamedTie] = (),
    base: Mapping[str, float] | None = None,
    peaks: Mapping[str, tuple[str, ...]] | None = None,
    together: Together | None = None,
) -> Problem:
    """One layer for each contraction in `damages`, one option for each of its widths.

    Options come with fewer bits first, so of equally good assignments the one with fewer bits in
    front is taken. `budget` limits what `costs` name; `base` is what they are before any choice.
    `peaks` says of which resources a limit is the largest sum, where it is not its own. `together`
    has what the options of two contractions damage beside their own damages. Ties keep those of
    their nodes that have damages; one whose nodes have nothing in common to agree on is left out,
    as of a value that is asked for in two widths. `UsageError` for a contraction without costs, and
    for a limit on what has none.
    """
    lacking = [f"{name} in {widths}" for name, widths in damages if (name, widths) not in costs]
    if lacking:
        raise UsageError(f"no costs of {', '.join(lacking)}: give one for each option")
    options: dict[str, list[Option]] = {}
    for name, widths in sorted(damages, key=lambda key: (key[1].weight, key[1].activation)):
        options.setdefault(name, []).append(_option(widths, damages, costs, name))
    names = list(dict.fromkeys(name for name, _ in damages))
    layers = tuple(Layer(name, tuple(options[name])) for name in names)
    places = {name: place for place, name in enumerate(names)}
    known = peaks or {}
    limits = tuple(Limit(name, most, known.get(name, ())) for name, most in budget.items())
    placed = tuple(tie for tie in _placed(ties, places) if _can_agree(layers, tie))
    pairs = tuple(_pair(places, options, of) for of in (together or {}).items())
    return Problem(layers, limits, placed, pairs, base=base or {})


def _option(widths: Widths, damages: Choices, costs: Costs, name: str) -> Option:
    """One contraction at one pair of widths."""
    traits = {WEIGHT: widths.weight, ACTIVATION: widths.activation}
    key = (name, widths)
    return Option(str(widths), widths.weight, damages[key], costs[key], traits)


def _pair(
    places: Mapping[str, int],
    options: Mapping[str, Sequence[Option]],
    of: tuple[tuple[str, str], Mapping[tuple[Widths, Widths], float]],
) -> Pair:
    """The damages of two contractions in the order of their options."""
    (one, two), damages = of
    named = {(str(a), str(b)): damage for (a, b), damage in damages.items()}
    rows = (tuple(named[a.name, b.name] for b in options[two]) for a in options[one])
    return Pair(places[one], places[two], tuple(rows))


def _placed(ties: Sequence[NamedTie], places: Mapping[str, int]) -> tuple[Tie, ...]:
    """Ties by position; none of fewer than two layers."""
    found = ((tuple(places[n] for n in tie.nodes if n in places), tie.on) for tie in ties)
    return tuple(Tie(layers, on) for layers, on in found if len(layers) > 1)


def _can_agree(layers: Sequence[Layer], tie: Tie) -> bool:
    """True when every tied layer has an option with the same trait."""
    first, *others = ({o.trait(tie.on) for o in layers[place].options} for place in tie.layers)
    return bool(first.intersection(*others))
