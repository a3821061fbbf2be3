"""Where widths are chosen: contractions with constant weights, and how each is quantized there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qcompile.calibrate.statistics import Statistics
from qcompile.calibrate.units import activation_format
from qcompile.errors import UsageError
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.quant import FakeQuant, Observe
from qcompile.ir.ops.shape import Concat
from qcompile.ir.ops.source import Const
from qcompile.ir.types import Array, Scalar
from qcompile.ir.unit import Affine
from qcompile.ir.widths import ACTIVATIONS
from qcompile.passes.calibrate import estimate, observed, origin
from qcompile.passes.choose_widths import Contraction
from qcompile.passes.recipe import Recipe
from qcompile.passes.roles import activations, weight
from qcompile.passes.weight_units import weight_unit

Format = tuple[Scalar, Affine]


@dataclass(frozen=True, eq=False)
class Site:
    """One contraction. `axis` has the weight's scales, None for one scale. `formats` has the
    calibrated format of its input in so many bits, None where that stays real."""

    name: str
    weight: Const
    axis: int | None
    bias: Const | None
    recipe: Recipe
    formats: Mapping[int, Format | None]

    def weights(self, bits: int, group: int | None = None) -> Array:
        """The weight as so many bits hold it, in groups of so many, in reals."""
        spec = self.recipe.weight_of(bits, self.axis, group)
        full = self.formats[self.recipe.activation.elem.bits]
        unit = weight_unit(self.weight, spec, self.bias, None if full is None else full[1])
        return FakeQuant(self.weight, spec.elem, unit).evaluate(self.weight.array)


def find_sites(specified: Graph, statistics: Sequence[Statistics], recipe: Recipe) -> list[Site]:
    """All contractions whose weight is marked, in graph order.

    `statistics` belong to the observed activations. `UsageError` when two share a name, since
    nobody could choose for one of them.
    """
    formats = _Formats(dict(zip(observed(specified), statistics, strict=True)), recipe)
    found: dict[str, Site] = {}
    for node in specified.nodes:
        if not isinstance(node, Conv | ConvTranspose | MatMul):
            continue
        marked = weight(node)
        if marked is None or not isinstance(marked[0], Observe):
            continue
        if node.name in found or not node.name:
            raise UsageError(f"two operations are named {node.name!r}: give each its own name")
        found[node.name] = _site(node, marked[0], formats, recipe)
    return list(found.values())


class _Formats:
    """Formats of values by what was seen there, each found once."""

    def __init__(self, seen: Mapping[Observe, Statistics], recipe: Recipe) -> None:
        self._seen, self._recipe = seen, recipe
        self._known: dict[tuple[tuple[Observe, ...], int], Format | None] = {}

    def of(self, x: Node) -> dict[int, Format | None]:
        """In every width that activations may have; behind a concat the range holds all parts."""
        marks = tuple(mark for mark in _read(x) if mark in self._seen)
        return {bits: self._format(marks, bits) for bits in ACTIVATIONS}

    def _format(self, marks: tuple[Observe, ...], bits: int) -> Format | None:
        if (marks, bits) not in self._known:
            spec = self._recipe.activation_of(bits)
            ranges = [estimate(spec, self._seen[mark]) for mark in marks]
            self._known[marks, bits] = (
                activation_format((min(r[0] for r in ranges), max(r[1] for r in ranges)), spec)
                if ranges
                else None
            )
        return self._known[marks, bits]


def _site(node: Contraction, marked: Observe, formats: _Formats, recipe: Recipe) -> Site:
    assert isinstance(marked.x, Const)
    bias = node.bias if isinstance(node.bias, Const) else None
    read = formats.of(activations(node)[0])
    return Site(node.name, marked.x, marked.spec.axis, bias, recipe, read)


def _read(x: Node) -> list[Observe]:
    """The marks behind a value, those of all operands of a concat."""
    match origin(x):
        case Observe() as mark:
            return [mark]
        case Concat(xs=xs):
            return [mark for x in xs for mark in _read(x)]
        case _:
            return []
