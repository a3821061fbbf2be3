"""What quantizing both factors does to a product of two computed values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qcompile.calibrate.together import run_together
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Mul
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.source import Const
from qcompile.ir.types import Array
from qcompile.ir.widths import REAL, Widths
from qcompile.passes.choose_widths import choose_widths
from qcompile.passes.demand import integer_roles
from qcompile.passes.recipe import Recipe
from qcompile.passes.roles import Role
from qcompile.passes.transforms.probes import narrowed

SAMPLES = 4
VECTORS = 64  # of each factor of a matrix product
Values = NDArray[Any]
Product: TypeAlias = MatMul | Mul
Factors: TypeAlias = tuple[Sequence[Values], Sequence[Values]]
"""The left and the right factor, a value for each sample."""


@dataclass(frozen=True)
class ProductProbe:
    """A product with some of the values that it meets, and the format of both factors."""

    node: Product
    factors: Factors
    widths: Widths
    recipe: Recipe

    def error(self, changed: Factors) -> float:
        """Σ(y' − y)² / Σy²; y is the real product of the factors that were seen, y' that of the
        changed ones when quantized."""
        noise = signal = 0.0
        narrow = [self._narrowed(values, side) for side, values in enumerate(changed)]
        for x, w, a, b in zip(*self.factors, *narrow, strict=True):
            wanted = self._product(x.astype(np.float64), w.astype(np.float64))
            noise += float(np.square(self._product(a, b) - wanted).sum())
            signal += float(np.square(wanted).sum())
        return noise / signal if signal > 0 else noise

    def _narrowed(self, values: Sequence[Values], side: int) -> list[Values]:
        axis = values[0].ndim - 1 - side
        return narrowed(values, widths=self.widths, recipe=self.recipe, axis=axis)

    def _product(self, a: Values, b: Values) -> Values:
        return np.matmul(a, b) if isinstance(self.node, MatMul) else a * b


def quantized_products(graph: Graph, recipe: Recipe) -> dict[Product, Widths]:
    """The products of two computed values whose factors the recipe quantizes, in graph order, and
    to what: matrix products to their own widths, others to the width of most edges."""
    roles, chosen = integer_roles(graph, recipe), choose_widths(graph, recipe.widths)
    plain = Widths(8, recipe.activation.elem.bits)
    found: dict[Product, Widths] = {}
    for node in graph.nodes:
        match node:
            case MatMul(a=a, b=b) if not isinstance(a, Const) and not isinstance(b, Const):
                widths = chosen[node].widths
                if widths.activation != REAL and not recipe.excludes(node):
                    found[node] = widths
            case Mul(a=a, b=b) if not isinstance(a, Const) and not isinstance(b, Const):
                if roles[node] is Role.ACCUMULATE:
                    found[node] = plain
            case _:
                pass
    return found


def collect_products(
    graph: Graph,
    products: Mapping[Product, Widths],
    samples: Sequence[Sequence[Array]],
    recipe: Recipe,
) -> dict[Product, ProductProbe]:
    """A probe of each, its factors from the first samples: of a matrix product evenly spaced rows
    of the left and columns of the right one, of any other all."""
    factors: dict[tuple[Product, int], list[Values]] = {}
    readers: dict[Node, list[tuple[Product, int]]] = {}
    for node in products:
        for side, value in enumerate((node.a, node.b)):
            factors[node, side] = []
            readers.setdefault(value, []).append((node, side))

    def hear(index: int, value: Node, found: Array) -> None:
        for node, side in readers[value]:
            kept = _spread(found, side) if isinstance(node, MatMul) else found
            factors[node, side].append(kept)

    if readers:
        run_together(graph, samples[:SAMPLES], keep=list(readers), hear=hear)
    return {
        node: ProductProbe(node, (factors[node, 0], factors[node, 1]), widths, recipe)
        for node, widths in products.items()
    }


def _spread(x: Array, side: int) -> Array:
    """Evenly spaced rows of a left factor, columns of a right one."""
    axis = x.ndim - 2 + side
    total = x.shape[axis]
    kept = min(VECTORS, total)
    return np.take(x, np.arange(kept) * total // kept, axis=axis)
