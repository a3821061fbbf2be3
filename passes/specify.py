"""Marks every edge that the target quantizes with an Observe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.quant import FakeQuant, Observe
from qcompile.ir.ops.source import Const, Input
from qcompile.ir.rewrite import rewrite
from qcompile.ir.widths import Widths
from qcompile.passes.base import Meaning, Pass
from qcompile.passes.choose_widths import Choice, choose_widths
from qcompile.passes.demand import Demand, demand, observed_widths, takes_reals
from qcompile.passes.invariants import FUSED, SPECIFIED, STATIC
from qcompile.passes.recipe import Recipe
from qcompile.passes.roles import Role, activations, weight
from qcompile.passes.tables import mark_table


@dataclass(frozen=True)
class Specify(Pass):
    """Observes each value that some integer operation needs narrow, and each weight.

    A sum that only an addition, a bound or an output reads stays 32 bits wide and is not observed:
    it is rounded once, behind them. Moves take the range of what they move. What only float
    operations read stays float. A value that is wanted in full width and in fewer bits, too, is
    observed twice, the narrow copy behind the other: there the integers are requantized.

    Products that scale at run time read reals through marks of their own, `along` the axis that is
    summed over.
    """

    name: ClassVar[str] = "specify"
    requires = frozenset({FUSED, STATIC})
    gives = frozenset({SPECIFIED})
    keeps: ClassVar[Meaning] = Meaning.EXACTLY

    recipe: Recipe = field(default_factory=Recipe)

    def run(self, graph: Graph) -> Graph:
        """Idempotent: an edge that is marked already is left alone."""
        if any(isinstance(node, Observe | FakeQuant) for node in graph.nodes):
            return graph
        marker = _Marker(graph, self.recipe)
        for node in graph.nodes:
            marker.place(node)
        after = graph.map_outputs(marker.result)
        return graph if after.outputs == graph.outputs else after


class _Marker:
    """The marked forms of all values, found operands first."""

    def __init__(self, graph: Graph, recipe: Recipe) -> None:
        self._recipe = recipe
        self._demand: Demand = demand(graph, recipe)
        self._widths = observed_widths(self._demand)
        self._choices: Mapping[Node, Choice] = choose_widths(graph, recipe.widths)
        self._bare: dict[Node, Node] = {}
        self._seen: dict[Node, Node] = {}
        self._copies: dict[tuple[Node, int], Node] = {}
        self._scaled: dict[tuple[Node, int, int], Node] = {}

    def place(self, node: Node) -> None:
        """Rebuilds the node on marked operands and observes its value where that is wanted."""
        bare = node.with_operands(self._read(node, operand) for operand in node.operands)
        choice = self._choices.get(node)
        real = takes_reals(node, self._choices, self._recipe)
        if choice is not None and choice.widths.per_token and real and isinstance(node, MatMul):
            bare = self._mark_vectors(node, bare, choice.widths.activation)
        if choice is not None and (real or self._demand.roles[node] is Role.ACCUMULATE):
            bare = mark_weight(bare, self._recipe, choice.widths)
        bare = mark_table(bare, self._recipe)
        self._bare[node] = self._seen[node] = bare
        moved = self._demand.roles[node] is Role.MOVE
        for place, bits in enumerate(self._widths.get(node, ())):
            first = place == 0 and not moved
            spec = self._recipe.activation_of(bits)
            name = f"{node.name}.range" if first else f"{node.name}.{spec.elem}.range"
            marked = Observe(self._seen[node], spec, name=name)
            self._copies[node, bits] = marked
            if first:
                self._seen[node] = marked

    def result(self, node: Node) -> Node:
        """What an output reads: an input as it came, anything else as observed."""
        return self._bare[node] if isinstance(node, Input) else self._seen[node]

    def _read(self, user: Node, value: Node) -> Node:
        if isinstance(value, Input) and not self._quantizes(user):
            return self._bare[value]
        bits = self._demand.reads[user, value]
        return self._copies.get((value, bits), self._seen[value])

    def _quantizes(self, user: Node) -> bool:
        """Inputs stay as they are for users that compute in reals."""
        return self._demand.roles[user] is not Role.FLOAT

    def _mark_vectors(self, node: MatMul, bare: Node, bits: int) -> Node:
        """The product with its values marked along the axis that it sums over."""
        assert isinstance(bare, MatMul)
        values = activations(node)
        a = self._vectors(bare.a, node.a.type.rank - 1, bits) if node.a in values else bare.a
        b = self._vectors(bare.b, node.b.type.rank - 2, bits) if node.b in values else bare.b
        return bare.replace(a=a, b=b)

    def _vectors(self, value: Node, axis: int, bits: int) -> Node:
        """The mark of a value's vectors, one for all who read them alike."""
        if (value, axis, bits) not in self._scaled:
            spec = self._recipe.token_of(bits, axis)
            name = f"{value.name}.vectors{axis}.{spec.elem}.range"
            self._scaled[value, axis, bits] = Observe(value, spec, name=name)
        return self._scaled[value, axis, bits]


def without_marks(graph: Graph) -> Graph:
    """The graph with no Observe left in it."""
    return rewrite(graph, lambda node, _: node.x if isinstance(node, Observe) else None)


def mark_weight(node: Node, recipe: Recipe, widths: Widths) -> Node:
    """The contraction with its constant weight observed; itself when the weight is computed."""
    found = weight(node)
    if found is None or not isinstance(node, Conv | ConvTranspose | MatMul):
        return node
    w, axis = found
    if not isinstance(w, Const):
        return node
    per_channel = axis if axis >= 0 and _scales_fit(node, w) else None
    spec = recipe.weight_of(widths.weight, per_channel, widths.group)
    seen = Observe(w, spec, name=f"{w.name}.range")
    if isinstance(node, MatMul):
        return node.replace(a=seen) if axis < 0 else node.replace(b=seen)
    return node.replace(w=seen)


def _scales_fit(node: Node, w: Const) -> bool:
    """Per-channel scales of a stacked matrix product have nowhere to go but one last axis."""
    return not isinstance(node, MatMul) or all(d == 1 for d in w.type.shape[:-2])
