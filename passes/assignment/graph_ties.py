"""Which contractions must choose alike: those of one weight, and those that read one value."""

from __future__ import annotations

from collections.abc import Iterable

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.source import Const
from qcompile.passes.assignment.widths import ACTIVATION, WEIGHT, NamedTie
from qcompile.passes.roles import Role, activations, role, weight


def shared_weights(graph: Graph) -> tuple[NamedTie, ...]:
    """Contractions whose weights are the same numbers: stored once when of the same bits."""
    groups: dict[str, list[str]] = {}
    for node in _contractions(graph):
        found = weight(node)
        if found is not None and isinstance(found[0], Const):
            groups.setdefault(f"{found[0].data.digest} {found[1]}", []).append(node.name)
    return _ties(groups.values(), WEIGHT)


def shared_inputs(graph: Graph) -> tuple[NamedTie, ...]:
    """Contractions that read the same values, also through moves and concats: of one width, the
    value is rounded once. A residual block's first convolution and its downsampling do."""
    groups: list[tuple[frozenset[Node], list[Node]]] = []
    for node in _contractions(graph):
        read = _origins(activations(node)[0])
        near = [group for group in groups if group[0] & read]
        groups = [group for group in groups if not group[0] & read]
        values = read.union(*(values for values, _ in near))
        groups.append((values, [*(n for _, nodes in near for n in nodes), node]))
    place = {node: position for position, node in enumerate(graph.nodes)}
    ordered = sorted(sorted(place[node] for node in nodes) for _, nodes in groups)
    return _ties(([graph.nodes[p].name for p in places] for places in ordered), ACTIVATION)


def _contractions(graph: Graph) -> list[Node]:
    """Those with a name and a constant weight, in graph order."""
    kinds = Conv | ConvTranspose | MatMul
    return [n for n in graph.nodes if isinstance(n, kinds) and n.name and weight(n)]


def _origins(value: Node) -> frozenset[Node]:
    """What a value moves: itself when it is computed."""
    if role(value) is not Role.MOVE:
        return frozenset({value})
    return frozenset[Node]().union(*(_origins(moved) for moved in activations(value)))


def _ties(groups: Iterable[list[str]], on: str) -> tuple[NamedTie, ...]:
    return tuple(NamedTie(tuple(names), on) for names in groups if len(names) > 1)
