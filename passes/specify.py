"""Marks every edge that the target quantizes with an Observe."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.quant import FakeQuant, Observe, Spec
from qcompile.ir.ops.source import Const
from qcompile.ir.rewrite import Site, rewrite
from qcompile.passes.base import Meaning, Pass
from qcompile.passes.invariants import FUSED, SPECIFIED, STATIC
from qcompile.passes.recipe import Recipe
from qcompile.passes.roles import Role, activations, role, weight


@dataclass(frozen=True)
class Specify(Pass):
    """Observes each value that some integer operation needs in 8 bits, and each weight.

    A sum that only an addition, a bound or an output reads stays 32 bits wide and is not observed:
    it is rounded once, behind them. Moves take the range of what they move. What only float
    operations read stays float.
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
        wanted = narrow_values(graph, self.recipe)

        def mark(node: Node, site: Site) -> Node | None:
            marked = _mark_weight(node, self.recipe)
            old = site.was(node)
            if old not in wanted:
                return marked
            inner = node if marked is None else marked
            return Observe(inner, self.recipe.activation, name=f"{old.name}.range")

        return _mark_inputs(rewrite(graph, mark), wanted, self.recipe)


def without_marks(graph: Graph) -> Graph:
    """The graph with no Observe left in it."""
    return rewrite(graph, lambda node, _: node.x if isinstance(node, Observe) else None)


def narrow_values(graph: Graph, recipe: Recipe) -> frozenset[Node]:
    """The values to observe: some user needs 8 bits, and no operand decides the range."""
    idle = read_in_float(graph, recipe)
    demand: dict[Node, bool] = {}
    for node in reversed(graph.nodes):
        users = [user for user in graph.users[node] if user not in idle]
        demand[node] = any(_needs(user, node, demand, graph, recipe) for user in users)
    return frozenset(
        node
        for node, needed in demand.items()
        if needed
        and node.type.is_float
        and not isinstance(node, Const)
        and integer_role(node, recipe) is not Role.MOVE
    )


def read_in_float(graph: Graph, recipe: Recipe) -> frozenset[Node]:
    """Light operations whose result goes nowhere but into float operations.

    Eight bits there would cost precision and save nothing: the sum of squares of a variance, say,
    on its way to a square root. Contractions are worth it anyway.
    """
    found: set[Node] = set()
    for node in reversed(graph.nodes):
        users = graph.users[node]
        if isinstance(node, Conv | ConvTranspose | MatMul) or not users or node in graph.results:
            continue
        if all(user in found or integer_role(user, recipe) is Role.FLOAT for user in users):
            found.add(node)
    return frozenset(found)


def integer_role(node: Node, recipe: Recipe) -> Role:
    """The role, FLOAT for what the recipe excludes."""
    return Role.FLOAT if recipe.excludes(node) else role(node)


def _needs(user: Node, value: Node, demand: dict[Node, bool], graph: Graph, recipe: Recipe) -> bool:
    if value not in activations(user):
        return False
    match integer_role(user, recipe):
        case Role.ACCUMULATE | Role.TABLE:
            return True
        case Role.MOVE:
            return demand[user]
        case Role.CLAMP:
            return not graph.sole(value)
        case Role.ADD:
            return not _wide(value, graph, recipe)
        case _:
            return False


def _wide(value: Node, graph: Graph, recipe: Recipe) -> bool:
    """A sum that nothing else reads may stay wide."""
    if not recipe.wide_sums or not graph.sole(value):
        return False
    match integer_role(value, recipe):
        case Role.ACCUMULATE | Role.ADD:
            return True
        case Role.CLAMP:
            return _wide(value.operands[0], graph, recipe)
        case _:
            return False


def _mark_weight(node: Node, recipe: Recipe) -> Node | None:
    found = weight(node)
    if found is None or integer_role(node, recipe) is not Role.ACCUMULATE:
        return None
    w, axis = found
    if not isinstance(w, Const) or not isinstance(node, Conv | ConvTranspose | MatMul):
        return None
    per_channel = axis if axis >= 0 and _scales_fit(node, w) else None
    seen = Observe(w, Spec(recipe.weight, symmetric=True, axis=per_channel), name=f"{w.name}.range")
    if isinstance(node, MatMul):
        return node.replace(a=seen) if axis < 0 else node.replace(b=seen)
    return node.replace(w=seen)


def _scales_fit(node: Node, w: Const) -> bool:
    """Per-channel scales of a stacked matrix product have nowhere to go but one last axis."""
    return not isinstance(node, MatMul) or all(d == 1 for d in w.type.shape[:-2])


def _mark_inputs(graph: Graph, wanted: frozenset[Node], recipe: Recipe) -> Graph:
    """Inputs are never rewritten themselves: their users are."""
    marked = {
        node: Observe(node, recipe.activation, name=f"{node.name}.range")
        for node in graph.inputs
        if node in wanted
    }
    if not marked:
        return graph

    def swap(node: Node, site: Site) -> Node | None:
        if isinstance(node, Observe) or not any(o in marked for o in activations(node)):
            return None
        if integer_role(node, recipe) is Role.FLOAT:
            return None
        return node.with_operands(marked.get(o, o) for o in node.operands)

    return rewrite(graph, swap)
