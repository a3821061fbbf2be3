"""Contractions at which a site's change of a value goes into a constant weight."""

from __future__ import annotations

from dataclasses import dataclass

from qcompile.analysis.axes.members import Member
from qcompile.analysis.axes.sites import Site
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.source import Const
from qcompile.passes.roles import activations, weight

Contraction = Conv | ConvTranspose | MatMul


@dataclass(frozen=True)
class Reader:
    """`node` contracts the member `edge` with the member `weight`."""

    node: Contraction
    edge: Member
    weight: Member


@dataclass(frozen=True)
class Writer:
    """`node` computes values of the site with the member `weight`."""

    node: Contraction
    weight: Member


def readers(graph: Graph, site: Site) -> tuple[Reader, ...]:
    """Those that read an edge of the site along the axis that they sum over, in graph order."""
    edges = {m.value: m for m in site.edges}
    weights = _constants(site)
    found: list[Reader] = []
    for node in graph.nodes:
        own = _weight(node)
        if own not in weights or not isinstance(node, Conv | ConvTranspose | MatMul):
            continue
        edge = edges.get(activations(node)[0])
        if edge is not None and edge.axis == summed_axis(node):
            found.append(Reader(node, edge, weights[own]))
    return tuple(found)


def writers(graph: Graph, site: Site) -> tuple[Writer, ...]:
    """Those whose result is an edge of the site along their output channels, in graph order."""
    edges = {m.value for m in site.edges}
    weights = _constants(site)
    found: list[Writer] = []
    for node in graph.nodes:
        own = _weight(node)
        if own not in weights or not isinstance(node, Conv | ConvTranspose | MatMul):
            continue
        if node in edges and activations(node)[0] not in edges:
            found.append(Writer(node, weights[own]))
    return tuple(found)


def summed_axis(node: Contraction) -> int:
    """The axis of the activation operand that is summed over."""
    match node:
        case MatMul(a=Const()):
            return node.b.type.rank - 2
        case MatMul():
            return node.a.type.rank - 1
        case _:
            return 1


def _constants(site: Site) -> dict[Const | None, Member]:
    return {m.constant: m for m in site.absorbs}


def _weight(node: Node) -> Const | None:
    found = weight(node) if isinstance(node, Conv | ConvTranspose | MatMul) else None
    return found[0] if found is not None and isinstance(found[0], Const) else None
