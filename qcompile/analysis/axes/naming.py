"""Names of sites for people: the first value that changes, and the role it is known by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from qcompile.analysis.axes.members import Member
from qcompile.analysis.axes.sites import ScalingSite, ShiftSite, Site
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.source import Const

S = TypeVar("S", bound=Site)


def named(graph: Graph, sites: Sequence[S]) -> tuple[S, ...]:
    """The sites in graph order of their first edge, each with a name of its own."""
    titles = value_names(graph)
    order = {node: i for i, node in enumerate(graph.nodes)}
    seen: Counter[str] = Counter()
    result: list[S] = []
    for site in sorted(sites, key=lambda own: order[_title(own)]):
        title = titles[_title(site)]
        seen[title] += 1
        name = title if seen[title] == 1 else f"{title}:{seen[title]}"
        result.append(replace(site, name=name))
    return tuple(result)


def value_names(graph: Graph) -> dict[Node, str]:
    """A name for each value: its own, else its operation and place."""
    return {node: node.name or f"{node.op}{i}" for i, node in enumerate(graph.nodes)}


def _title(site: Site) -> Node:
    return site.lead.value if isinstance(site, ScalingSite | ShiftSite) else site.edges[0].value


def role_of(members: tuple[Member, ...]) -> str:
    """R1: the residual stream. R2: values of attention, into its output. Else nothing.

    The numbers are SpinQuant's (arXiv 2405.16406, figure 1).
    """
    values = [m.value for m in members]
    if any(isinstance(v, Add) and not _constant(v.a) and not _constant(v.b) for v in values):
        return "R1"
    if any(isinstance(v, MatMul) and not _constant(v.a) and not _constant(v.b) for v in values):
        return "R2"
    return ""


def _constant(node: Node) -> bool:
    return isinstance(node, Const)
