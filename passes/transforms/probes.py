"""What quantizing does to a contraction: its result on a few vectors, before and after."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qcompile.analysis.axes.members import Member
from qcompile.calibrate.together import run_together
from qcompile.calibrate.units import activation_format
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.quant import FakeQuant, FakeQuantDynamic
from qcompile.ir.ops.source import Const, Input, const
from qcompile.ir.types import F32, Array, Scalar, TensorType
from qcompile.ir.unit import Affine
from qcompile.ir.widths import Widths
from qcompile.passes.choose_widths import choose_widths
from qcompile.passes.each import Each, uncounted
from qcompile.passes.recipe import Recipe
from qcompile.passes.roles import activations, weight
from qcompile.passes.transforms.changes import altered
from qcompile.passes.transforms.constants import Change
from qcompile.passes.transforms.readers import Contraction
from qcompile.passes.weight_units import weight_unit

VECTORS = 256  # of a matrix product's operand
OUTPUTS = 256  # of its columns
PICTURES = 2  # samples of all other operands
Values = NDArray[Any]
Alteration: TypeAlias = tuple[Member, Change]
Sides: TypeAlias = tuple[Sequence[Values], Values]
"""Operands and weight."""


@dataclass(frozen=True)
class Probe:
    """A contraction with some of the vectors it meets, and the formats of these and its weight.

    `at_edge` and `at_weight` are the changes decided so far. Numbers are computed when asked for,
    in float64, and not kept: the weights of a large model do not fit into memory.
    """

    node: Contraction
    seen: tuple[Array, ...]
    widths: Widths
    recipe: Recipe
    at_edge: tuple[Alteration, ...] = ()
    at_weight: tuple[Alteration, ...] = ()

    @property
    def operands(self) -> tuple[Values, ...]:
        """What it reads."""
        return tuple(_through(x, self.at_edge) for x in self.seen)

    @property
    def weights(self) -> Values:
        """What it reads that with."""
        return _through(constant_weight(self.node).array, self.at_weight)

    def sides(self) -> Sides:
        """Operands and weight, of a matrix at most `OUTPUTS` columns: each counts alike."""
        return self.operands, few_outputs(self.node, self.weights)

    def results(self, sides: Sides) -> list[Values]:
        """What real operands and weight give."""
        return [product(self.node, x, sides[1]) for x in sides[0]]

    def error(self, wanted: Sequence[Values], changed: Sides) -> float:
        """Σ(y' − y)² / Σy²; y is wanted, y' what the changed sides give when quantized."""
        narrow = self._quantized_weight(changed[1])
        found = [product(self.node, x, narrow) for x in self._quantized(changed[0])]
        noise = sum(_power(y - x) for y, x in zip(found, wanted, strict=True))
        signal = sum(_power(y) for y in wanted)
        return noise / signal if signal > 0 else noise

    def weight_error(self, weights: Values) -> float:
        """Σ(w' − w)² / Σw² for a weight in place of its own, quantized as that is."""
        power, error = _power(weights), _power(self._quantized_weight(weights) - weights)
        return error / power if power > 0 else error

    def _quantized(self, operands: Sequence[Values]) -> list[Values]:
        axis = operands[0].ndim - 1
        return narrowed(operands, widths=self.widths, recipe=self.recipe, axis=axis)

    def _quantized_weight(self, weights: Values) -> Values:
        found = weight(self.node)
        assert found is not None
        axis = found[1] if found[1] >= 0 else None
        spec = self.recipe.weight_of(self.widths.weight, axis, self.widths.group)
        w = const(weights.astype(np.float32))
        unit = weight_unit(w, replace(spec, method="minmax"), None, None)
        if unit.group is None:
            return _snapped(w.array, spec.elem, unit)
        return FakeQuant(w, spec.elem, unit).evaluate(w.array).astype(np.float64)


def narrowed(
    values: Sequence[Values], *, widths: Widths, recipe: Recipe, axis: int
) -> list[Values]:
    """Activations quantized to these widths, in float64: each vector along the axis with a scale of
    its own where the widths have them, else one scale for all that is seen."""
    narrow = [x.astype(np.float32) for x in values]
    if widths.per_token:
        elem = recipe.token_of(widths.activation, axis).elem
        marks = [FakeQuantDynamic(_like(x), elem, axis) for x in narrow]
        return [m.evaluate(x).astype(np.float64) for m, x in zip(marks, narrow, strict=True)]
    bounds = (min(float(x.min()) for x in narrow), max(float(x.max()) for x in narrow))
    elem, unit = activation_format(bounds, recipe.activation_of(widths.activation))
    return [_snapped(x, elem, unit) for x in narrow]


def few_outputs(node: Contraction, weights: Values) -> Values:
    """Evenly spaced columns of a matrix that vectors are multiplied with; all of others."""
    if not _by_vectors(node) or weights.shape[1] <= OUTPUTS:
        return weights
    return weights[:, np.arange(OUTPUTS) * weights.shape[1] // OUTPUTS]


def product(node: Contraction, x: Values, w: Values) -> Values:
    """What the contraction gives before its bias, in float64."""
    match node:
        case MatMul(a=Const()):
            return np.matmul(w, x)
        case MatMul():
            return np.matmul(x, w)
        case _:
            return node.replace(bias=None).evaluate(x, w).astype(np.float64)


def collect_probes(
    graph: Graph,
    nodes: Iterable[Contraction],
    samples: Iterable[Sequence[Array]],
    recipe: Recipe,
    each: Each = uncounted,
) -> dict[Contraction, Probe]:
    """A probe of each contraction, in the widths that the recipe gives it, its operands from the
    samples: of a product with a matrix evenly spaced vectors, of anything else the first two
    samples' values whole."""
    chosen = choose_widths(graph, recipe.widths)
    wanted = {node: chosen[node].widths for node in nodes}
    values: dict[Node, list[Array]] = {activations(node)[0]: [] for node in wanted}
    drawn = list(samples)
    whole = {activations(node)[0] for node in wanted if not _by_vectors(node)}
    share = -(-VECTORS // max(len(drawn), 1))

    def hear(index: int, node: Node, found: Array) -> None:
        if node not in whole:
            values[node].append(_spread(found, share))
        elif index < PICTURES:
            values[node].append(found)

    def walk(along: Sequence[Node]) -> Iterable[Node]:
        return each(along, "looking at activations")

    run_together(graph, drawn, keep=values, hear=hear, walk=walk)
    result: dict[Contraction, Probe] = {}
    for node, widths in wanted.items():
        value = activations(node)[0]
        seen = values[value]
        joined = seen if value in whole else [np.concatenate(seen, axis=-2)]
        result[node] = Probe(node, tuple(joined), widths, recipe)
    return result


def blank_probes(
    graph: Graph, nodes: Iterable[Contraction], recipe: Recipe
) -> dict[Contraction, Probe]:
    """The same with no operand seen: for errors of weights alone."""
    chosen = choose_widths(graph, recipe.widths)
    return {node: Probe(node, (), chosen[node].widths, recipe) for node in nodes}


def _by_vectors(node: Contraction) -> bool:
    """Its operand's vectors are multiplied one by one, so that a few of them will do."""
    match node:
        case MatMul(a=a, b=Const() as b):
            return b.type.rank == 2 and all(d == 1 for d in a.type.shape[:-2])
        case _:
            return False


def _spread(x: Array, count: int) -> Array:
    """At most so many vectors of [.., vectors, n], evenly spaced."""
    total = x.shape[-2]
    kept = min(count, total)
    places = np.arange(kept) * total // kept
    return x[..., places, :]


def _through(array: Array, alterations: Iterable[Alteration]) -> Values:
    wide = array.astype(np.float64)
    for member, change in alterations:
        wide = altered(member, wide, change)
    return wide


def _snapped(x: Array, elem: Scalar, unit: Affine) -> Values:
    """What `FakeQuant` gives for finite numbers, without integers in between."""
    scales, zeros = unit.scales(x.ndim).astype(np.float32), unit.zero_points(x.ndim)
    low, high = ((bound - zeros).astype(np.float32) for bound in (elem.lo, elem.hi))
    return (np.clip(np.rint(x / scales), low, high) * scales).astype(np.float64)


def _power(x: Values) -> float:
    return float(np.square(x).sum())


def _like(x: Values) -> Input:
    return Input(TensorType(tuple(x.shape), F32))


def constant_weight(node: Contraction) -> Const:
    """The constant that it contracts; for those that have one."""
    found = weight(node)
    assert found is not None
    assert isinstance(found[0], Const)
    return found[0]
