"""The calibrated float graph becomes integers between its quantize and dequantize."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.quant import FakeQuant, Observe
from qcompile.ir.ops.source import Const, Input
from qcompile.passes.base import Meaning, Pass
from qcompile.passes.forms import Forms
from qcompile.passes.integer_forms import integer_form
from qcompile.passes.invariants import CALIBRATED, INTEGER
from qcompile.passes.recipe import Recipe


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

    def run(self, graph: Graph) -> Graph:
        """One walk, operands first."""
        if not any(isinstance(node, FakeQuant | Observe) for node in graph.nodes):
            return graph
        forms = Forms(graph)
        for node in graph.nodes:
            _place(node, forms, self.recipe)
        return graph.map_outputs(forms.real)


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
