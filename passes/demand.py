"""In how many bits each value is wanted: by whom, and so what is observed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.hadamard import Hadamard
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.source import Const
from qcompile.ir.widths import REAL
from qcompile.passes.choose_widths import Choice, choose_widths
from qcompile.passes.recipe import TRANSFORMED_BITS, Recipe
from qcompile.passes.roles import Role, activations, role


@dataclass(frozen=True)
class Demand:
    """`bits`: the widths of every value that is wanted narrow, widest first.

    `reads`: the width in which a user reads a value, where it wants one. A value is in fewer bits
    only when all who read it want just these; else it is in full width, and those who want fewer
    bits read a narrower copy of that. `roles`: what each operation is, in this graph.
    """

    bits: Mapping[Node, tuple[int, ...]]
    reads: Mapping[tuple[Node, Node], int]
    roles: Mapping[Node, Role]


def demand(graph: Graph, recipe: Recipe) -> Demand:
    """Found from the outputs up, since a move wants what its users want."""
    roles = integer_roles(graph, recipe)
    idle = read_in_float(graph, roles)
    full = recipe.activation.elem.bits
    chosen = {n: c.widths.activation for n, c in choose_widths(graph, recipe.widths).items()}
    bits: dict[Node, tuple[int, ...]] = {}
    reads: dict[tuple[Node, Node], int] = {}
    for node in reversed(graph.nodes):
        found: set[int] = set()
        for user in graph.users[node]:
            wants = user not in idle and _needs(user, node, bits, graph, roles, recipe)
            passed = bits.get(user, ()) if roles[user] is Role.MOVE else ()
            own = passed[0] if passed else _width(user, chosen, full)
            reads[user, node] = own if wants else 0
            found.add(reads[user, node])
        if node in graph.results:
            found.add(0)
        agreed = len(found) == 1
        wanted = found - {0}
        if wanted:
            both = wanted if agreed else wanted | {full}
            bits[node] = tuple(sorted(both, reverse=True))
    return Demand(bits, reads, roles)


def observed_widths(found: Demand) -> dict[Node, tuple[int, ...]]:
    """The widths in which each value is to be observed. Moves take the range of what they move, so
    only narrower copies of them are observed."""
    marks: dict[Node, tuple[int, ...]] = {}
    for node, bits in found.bits.items():
        if not node.type.is_float or isinstance(node, Const):
            continue
        own = bits[1:] if found.roles[node] is Role.MOVE else bits
        if own:
            marks[node] = own
    return marks


def read_in_float(graph: Graph, roles: Mapping[Node, Role]) -> frozenset[Node]:
    """Light operations whose result goes nowhere but into float operations.

    Eight bits there would cost precision and save nothing: the sum of squares of a variance, say,
    on its way to a square root. Contractions are worth it anyway.
    """
    found: set[Node] = set()
    for node in reversed(graph.nodes):
        users = graph.users[node]
        if isinstance(node, Conv | ConvTranspose | MatMul) or not users or node in graph.results:
            continue
        if all(user in found or roles[user] is Role.FLOAT for user in users):
            found.add(node)
    return frozenset(found)


def integer_roles(graph: Graph, recipe: Recipe) -> dict[Node, Role]:
    """The role of every operation, FLOAT for what the recipe excludes.

    FLOAT, too, are contractions that take and give reals: products whose operands are scaled at run
    time, and those of which only the weights are integers. So are all light operations behind them
    up to the next contraction: one scale for all values there would cost what was won.
    """
    choices = choose_widths(graph, recipe.widths)
    real: set[Node] = set()
    found: dict[Node, Role] = {}
    for node in graph.nodes:
        contracts = isinstance(node, Conv | ConvTranspose | MatMul)
        takes = contracts and takes_reals(node, choices, recipe)
        if takes or (not contracts and any(operand in real for operand in node.operands)):
            real.add(node)
        keeps = node in real or recipe.excludes(node)
        found[node] = Role.FLOAT if keeps else role(node)
    return found


def takes_reals(node: Node, choices: Mapping[Node, Choice], recipe: Recipe) -> bool:
    """A contraction that would be one of integers, but is to read reals."""
    chosen = choices.get(node)
    if chosen is None or recipe.excludes(node) or role(node) is not Role.ACCUMULATE:
        return False
    return chosen.widths.per_token or chosen.widths.activation == REAL


def _width(user: Node, chosen: Mapping[Node, int], full: int) -> int:
    """A transform spreads outliers, which 8 bits before it would have rounded everything to."""
    return TRANSFORMED_BITS if isinstance(user, Hadamard) else chosen.get(user, full)


def _needs(
    user: Node,
    value: Node,
    found: Mapping[Node, tuple[int, ...]],
    graph: Graph,
    roles: Mapping[Node, Role],
    recipe: Recipe,
) -> bool:
    if value not in activations(user):
        return False
    match roles[user]:
        case Role.ACCUMULATE if isinstance(user, Hadamard) and not recipe.wide_sums:
            return False
        case Role.ACCUMULATE | Role.TABLE:
            return True
        case Role.MOVE:
            return user in found
        case Role.CLAMP:
            return not graph.sole(value)
        case Role.ADD:
            return not _wide(value, graph, roles, recipe)
        case _:
            return False


def _wide(value: Node, graph: Graph, roles: Mapping[Node, Role], recipe: Recipe) -> bool:
    """A sum that nothing else reads may stay wide."""
    if not recipe.wide_sums or not graph.sole(value):
        return False
    match roles[value]:
        case Role.ACCUMULATE | Role.ADD:
            return True
        case Role.CLAMP:
            return _wide(value.operands[0], graph, roles, recipe)
        case _:
            return False
