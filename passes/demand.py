"""In how many bits each value is wanted: by whom, and so what is observed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.source import Const
from qcompile.passes.choose_widths import choose_widths
from qcompile.passes.recipe import Recipe
from qcompile.passes.roles import Role, activations, role


@dataclass(frozen=True)
class Demand:
    """`bits`: the widths of every value that is wanted narrow, widest first.

    `reads`: the width in which a user reads a value, where it wants one. A value is in fewer bits
    only when all who read it want just these; else it is in full width, and those who want fewer
    bits read a narrower copy of that.
    """

    bits: Mapping[Node, tuple[int, ...]]
    reads: Mapping[tuple[Node, Node], int]


def demand(graph: Graph, recipe: Recipe) -> Demand:
    """Found from the outputs up, since a move wants what its users want."""
    idle = read_in_float(graph, recipe)
    full = recipe.activation.elem.bits
    chosen = {n: c.widths.activation for n, c in choose_widths(graph, recipe.widths).items()}
    bits: dict[Node, tuple[int, ...]] = {}
    reads: dict[tuple[Node, Node], int] = {}
    for node in reversed(graph.nodes):
        found: set[int] = set()
        for user in graph.users[node]:
            wants = user not in idle and _needs(user, node, bits, graph, recipe)
            passed = bits.get(user, ()) if integer_role(user, recipe) is Role.MOVE else ()
            own = passed[0] if passed else chosen.get(user, full)
            reads[user, node] = own if wants else 0
            found.add(reads[user, node])
        if node in graph.results:
            found.add(0)
        agreed = len(found) == 1
        wanted = found - {0}
        if wanted:
            both = wanted if agreed else wanted | {full}
            bits[node] = tuple(sorted(both, reverse=True))
    return Demand(bits, reads)


def observed_widths(graph: Graph, found: Demand, recipe: Recipe) -> dict[Node, tuple[int, ...]]:
    """The widths in which each value is to be observed. Moves take the range of what they move, so
    only narrower copies of them are observed."""
    marks: dict[Node, tuple[int, ...]] = {}
    for node, bits in found.bits.items():
        if not node.type.is_float or isinstance(node, Const):
            continue
        own = bits[1:] if integer_role(node, recipe) is Role.MOVE else bits
        if own:
            marks[node] = own
    return marks


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


def _needs(
    user: Node,
    value: Node,
    found: Mapping[Node, tuple[int, ...]],
    graph: Graph,
    recipe: Recipe,
) -> bool:
    if value not in activations(user):
        return False
    match integer_role(user, recipe):
        case Role.ACCUMULATE | Role.TABLE:
            return True
        case Role.MOVE:
            return user in found
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
