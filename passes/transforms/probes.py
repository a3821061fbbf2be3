"""What quantizing does to a contraction: its result on a few vectors, before and after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.calibrate.units import activation_format
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.quant import FakeQuant, FakeQuantDynamic
from qcompile.ir.ops.source import Const, Input, const
from qcompile.ir.types import F32, Array, TensorType
from qcompile.ir.widths import Widths
from qcompile.passes.recipe import Recipe
from qcompile.passes.roles import activations, weight
from qcompile.passes.transforms.readers import Contraction
from qcompile.passes.weight_units import weight_unit

VECTORS = 256  # of a matrix product's operand
PICTURES = 2  # samples of all other operands
Values = NDArray[Any]


@dataclass(frozen=True)
class Probe:
    """A contraction with some of the operands it meets, its weight, and the formats of both.

    `wanted` are its real results, which a change of operands and weight is to leave as they are.
    """

    node: Contraction
    operands: tuple[Values, ...]
    weights: Values
    wanted: tuple[Values, ...]
    widths: Widths
    recipe: Recipe

    @cached_property
    def own_error(self) -> float:
        """That of its own operands and weight."""
        return self.error(self.operands, self.weights)

    def error(self, operands: Sequence[Values], weights: Values) -> float:
        """Σ(y' − y)² / Σy², y' from these operands and this weight, quantized; y is `wanted`."""
        narrow = self._quantized_weight(weights)
        found = [product(self.node, x, narrow) for x in self._quantized(operands)]
        noise = sum(_power(y - x) for y, x in zip(found, self.wanted, strict=True))
        return noise / self._signal if self._signal > 0 else noise

    def weight_error(self, weights: Values) -> float:
        """Σ(w' − w)² / Σw² for a weight in place of its own, quantized as that is."""
        power, error = _power(weights), _power(self._quantized_weight(weights) - weights)
        return error / power if power > 0 else error

    @cached_property
    def _signal(self) -> float:
        return sum(_power(y) for y in self.wanted)

    def _quantized(self, operands: Sequence[Values]) -> list[Values]:
        narrow = [x.astype(np.float32) for x in operands]
        bits, axis = self.widths.activation, narrow[0].ndim - 1
        if self.widths.per_token:
            elem = self.recipe.token_of(bits, axis).elem
            marks = [FakeQuantDynamic(_like(x), elem, axis) for x in narrow]
        else:
            bounds = (min(float(x.min()) for x in narrow), max(float(x.max()) for x in narrow))
            elem, unit = activation_format(bounds, self.recipe.activation_of(bits))
            marks = [FakeQuant(_like(x), elem, unit) for x in narrow]
        return [m.evaluate(x).astype(np.float64) for m, x in zip(marks, narrow, strict=True)]

    def _quantized_weight(self, weights: Values) -> Values:
        found = weight(self.node)
        assert found is not None
        axis = found[1] if found[1] >= 0 else None
        spec = self.recipe.weight_of(self.widths.weight, axis, self.widths.group)
        w = const(weights.astype(np.float32))
        unit = weight_unit(w, replace(spec, method="minmax"), None, None)
        return FakeQuant(w, spec.elem, unit).evaluate(w.array).astype(np.float64)


def probe(
    node: Contraction,
    operands: tuple[Values, ...],
    weights: Values,
    *,
    widths: Widths,
    recipe: Recipe,
) -> Probe:
    """With the results that these operands and this weight have."""
    wanted = tuple(product(node, x, weights) for x in operands)
    return Probe(node, operands, weights, wanted, widths, recipe)


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
    wanted: Mapping[Contraction, Widths],
    samples: Iterable[Sequence[Array]],
    recipe: Recipe,
) -> dict[Contraction, Probe]:
    """A probe of each contraction, its operands from the samples: of a product with a matrix
    evenly spaced vectors, of anything else the first two samples' values whole."""
    values: dict[Node, list[Array]] = {activations(node)[0]: [] for node in wanted}
    drawn = list(samples)
    whole = {activations(node)[0] for node in wanted if not _by_vectors(node)}
    share = -(-VECTORS // max(len(drawn), 1))
    for index, sample in enumerate(drawn):
        for node, found in graph.values(sample, keep=list(values)):
            if node not in whole:
                values[node].append(_spread(found, share))
            elif index < PICTURES:
                values[node].append(found)
    result: dict[Contraction, Probe] = {}
    for node, widths in wanted.items():
        value = activations(node)[0]
        seen = values[value]
        joined = seen if value in whole else [np.concatenate(seen, axis=-2)]
        operands = tuple(x.astype(np.float64) for x in joined)
        own = constant_weight(node).array.astype(np.float64)
        result[node] = probe(node, operands, own, widths=widths, recipe=recipe)
    return result


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
