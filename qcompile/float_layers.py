"""Float as an option: a contraction may stay as it is, which damages nothing and costs most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from qcompile.passes.assign_bits import Layer, Limit, Option, Problem
from qcompile.passes.assignment.problem import FLOAT_BITS
from qcompile.passes.assignment.widths import ACTIVATION, WEIGHT
from qcompile.plan_choices import FLOAT

RESOURCE = "float"


def with_float_layers(
    problem: Problem, costs: Mapping[str, Mapping[str, float]], *, at_most: int
) -> Problem:
    """The problem with an option more for each layer, its costs by the layer's name, of which no
    more than `at_most` are taken; itself for 0.

    A layer that is tied to others stays in float with all of them.
    """
    if at_most == 0:
        return problem
    traits = {WEIGHT: FLOAT_BITS, ACTIVATION: FLOAT_BITS}
    layers = tuple(
        Layer(
            layer.name,
            (
                *(replace(o, costs={**o.costs, RESOURCE: 0.0}) for o in layer.options),
                Option(FLOAT, FLOAT_BITS, 0.0, {**costs[layer.name], RESOURCE: 1.0}, traits),
            ),
        )
        for layer in problem.layers
    )
    pairs = tuple(replace(pair, damage=_widened(pair.damage)) for pair in problem.pairs)
    limits = (*problem.limits, Limit(RESOURCE, at_most))
    return replace(problem, layers=layers, limits=limits, pairs=pairs)


def _widened(damage: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
    """A row and a column more: what stays in float damages nothing together with others."""
    return (*((*row, 0.0) for row in damage), (0.0,) * (len(damage[0]) + 1))
