"""The calibrated float graph becomes integers between its quantize and dequantize."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.quant import FakeQuant, FakeQuantDynamic, Observe
from qcompile.ir.ops.shape import Gather
from qcompile.ir.ops.source import Const, Input
from qcompile.passes.base import Meaning, Pass
from qcompile.passes.dynamic_products import Scaled, dynamic_product, is_dynamic
from qcompile.passes.each import Each, uncounted
from qcompile.passes.forms import Forms
from qcompile.passes.integer_forms import integer_form
from qcompile.passes.invariants import CALIBRATED, INTEGER
from qcompile.passes.recipe import Recipe
from qcompile.passes.tables import is_lookup, looked_up


@dataclass(frozen=True)
class Quantize(Pass):
    """Each operation takes its integer form when all that it reads has one, else stays float.

    Integers and reals meet only at Quantize and Dequantize nodes, put where they are needed.
    """

    name: ClassVar[str] = "quantize"
    requires = frozenset({CALIBRATED})
    gives = frozenset({INTEGER})
    keeps: ClassVar[Meaning] = Meaning.NOT

    recipe: Recipe = field(default_factory=Recipe)
    each: Each = field(default=uncounted, repr=False)

    def run(self, graph: Graph) -> Graph:
        """One walk, operands first."""
        if not any(isinstance(node, MARKS) for node in graph.nodes):
            return graph
        forms = Forms(graph)
        scaled: dict[Node, Scaled] = {}
        for node in self.each(graph.nodes, "quantizing operations"):
            if not _place_inner(node, forms, scaled):
                _place(node, forms, self.recipe)
        return graph.map_outputs(forms.real)


MARKS = (FakeQuant, FakeQuantDynamic, Observe)


def _place_inner(node: Node, forms: Forms, scaled: dict[Node, Scaled]) -> bool:
    """What has integers inside and is real to everything else: products that scale at run time,
    rows of a table."""
    value: Node | None = None
    match node:
        case FakeQuantDynamic(x=x):
            value = forms.real(x)
        case MatMul() if is_dynamic(node):
            value = dynamic_product(node, forms, scaled)
        case Gather() if is_lookup(node):
            value = looked_up(node, forms)
        case _:
            pass
    if value is not None:
        forms.put_real(node, value)
    return value is not None


def _place(node: Node, forms: Forms, recipe: Recipe) -> None:
    match node:
        case Input() | Const():
            forms.put_real(node, node)
        case FakeQuant(x=Const()):
            forms.put_weight(node)
        case FakeQuant():
            forms.put_narrow(node)
        case _:
            if recipe.excludes(node) or not integer_form(node, forms):
                operands = (forms.real(o) for o in node.operands)
                forms.put_real(node, node.with_operands(operands))
