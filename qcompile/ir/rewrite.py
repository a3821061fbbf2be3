"""Rewriting: rules are pure functions from a node to its replacement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.source import Input


@dataclass(frozen=True)
class Site:
    """What a rule may ask about the graph that it rewrites."""

    graph: Graph
    origin: dict[Node, Node]

    def was(self, node: Node) -> Node:
        """The node of the old graph that this new one came from."""
        return self.origin.get(node, node)

    def sole(self, node: Node) -> bool:
        """True when, in the old graph, exactly one node reads it and it is no output."""
        old = self.was(node)
        return old in self.graph.users and self.graph.sole(old)


Rule: TypeAlias = Callable[[Node, Site], Node | None]


def rewrite(graph: Graph, rule: Rule) -> Graph:
    """Rebuilds the graph operands first, letting `rule` replace each node.

    The operands of the node that the rule sees are already final. Returns the same object when
    nothing fired.
    """
    new: dict[Node, Node] = {}
    site = Site(graph, {})
    for old in graph.nodes:
        if isinstance(old, Input):
            new[old] = old
            continue
        node = old.with_operands(new[o] for o in old.operands)
        site.origin[node] = old
        result = rule(node, site)
        new[old] = node if result is None else result
        site.origin.setdefault(new[old], old)
    if all(new[node] is node for node in graph.results):
        return graph
    return graph.map_outputs(lambda node: new[node])


def until_same(graph: Graph, rule: Rule, *, limit: int = 100) -> Graph:
    """Rewrites to a fixed point; `AssertionError` when the rule does not come to rest."""
    for _ in range(limit):
        after = rewrite(graph, rule)
        if after is graph:
            return graph
        graph = after
    raise AssertionError(f"rule {rule} did not come to rest on {graph.name} in {limit} rounds")


def first_of(*rules: Rule) -> Rule:
    """One rule that is the first of several that fires."""

    def apply(node: Node, site: Site) -> Node | None:
        for rule in rules:
            result = rule(node, site)
            if result is not None:
                return result
        return None

    return apply
