"""What quantizing does to a contraction: its result on a few vectors, before and after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
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
    """A contraction with some of the operands it meets, and the formats it will have."""

    node: Contraction
    operands: tuple[Values, ...]
    widths: Widths
    recipe: Recipe

    @property
    def weights(self) -> Values:
        """Its weight, in float64."""
        return _weight(self.node).array.astype(np.float64)

    def error(self, operands: Sequence[Values], weights: Values) -> float:
        """Σ(y' − y)² / Σy², y' from these operands and this weight, quantized; y its own."""
        own = self.weights
        wanted = [self._product(x, own) for x in self.operands]
        narrow = self._quantized_weight(weights)
        found = [self._product(x, narrow) for x in self._quantized(operands)]
        pairs = list(zip(found, wanted, strict=True))
        noise = sum(float(np.square(y - x).sum()) for y, x in pairs)
        signal = sum(float(np.square(x).sum()) for _, x in pairs)
        return noise / signal if signal > 0 else noise

    def weight_error(self, weights: Values) -> float:
        """Σ(w' − w)² / Σw² for a weight in place of its own, quantized as that is."""
        power = float(np.square(weights).sum())
        error = float(np.square(self._quantized_weight(weights) - weights).sum())
        return error / power if power > 0 else error

    def _product(self, x: Values, w: Values) -> Values:
        match self.node:
            case MatMul(a=Const()):
                return np.matmul(w, x)
            case MatMul():
                return np.matmul(x, w)
            case _:
                return self.node.replace(bias=None).evaluate(x, w).astype(np.float64)

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
        result[node] = Probe(node, tuple(x.astype(np.float64) for x in joined), widths, recipe)
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


def _like(x: Values) -> Input:
    return Input(TensorType(tuple(x.shape), F32))


def _weight(node: Contraction) -> Const:
    found = weight(node)
    assert found is not None
    assert isinstance(found[0], Const)
    return found[0]
