"""silu(z) in front of a product → z · sigmoid(z · 1): the ones take a scale that silu stops.

Then z may become z / s and the ones s, since (z / s) · sigmoid(s · (z / s)) = silu(z) / s: what
stands behind a gate can be smoothed through the gate's own weights (MambaQuant, arXiv 2501.13484,
section 4.2, smooth-fused rotation).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Mul
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.pointwise import Sigmoid, Silu
from qcompile.ir.ops.shape import Reshape, Transpose
from qcompile.ir.ops.source import Const, const
from qcompile.ir.rewrite import Site, rewrite
from qcompile.passes.base import Meaning, Pass


@dataclass(frozen=True)
class OpenGates(Pass):
    """Gates whose scale another pass may want to use; `CloseGates` undoes what nobody used."""

    name: ClassVar[str] = "open-gates"
    keeps: ClassVar[Meaning] = Meaning.CLOSELY

    def run(self, graph: Graph) -> Graph:
        """Every silu that a product of two values reads, and else only products and weights."""
        return rewrite(graph, _opened)


def _opened(node: Node, site: Site) -> Node | None:
    channels = node.type.shape[-1] if node.type.rank else 0
    if not isinstance(node, Silu) or not isinstance(channels, int):
        return None
    if not _gates(site.was(node), site.graph):
        return None
    ones = const(np.ones(channels, node.type.elem.storage), name=f"{node.name}.scale")
    inner = Mul(node.x, ones, name=f"{node.name}.scaled")
    return Mul(node.x, Sigmoid(inner, name=f"{node.name}.gate"), name=node.name)


def _gates(value: Node, graph: Graph) -> bool:
    """All that reads the value, behind moves, takes a scale on, and one multiplies two values."""
    users = tuple(_readers(value, graph))
    return all(map(_takes_scales, users)) and any(map(_multiplies, users))


def _readers(value: Node, graph: Graph) -> Iterator[Node]:
    """What reads the value behind moves; a value that is an output as well."""
    if value in graph.results:
        yield value
    for user in graph.users.get(value, ()):
        if isinstance(user, Reshape | Transpose):
            yield from _readers(user, graph)
        else:
            yield user


def _takes_scales(user: Node) -> bool:
    """A product passes them on, a weight that sums over the channels takes them."""
    return isinstance(user, Mul) or (isinstance(user, MatMul) and isinstance(user.b, Const))


def _multiplies(user: Node) -> bool:
    return isinstance(user, Mul) and not isinstance(user.a, Const) and not isinstance(user.b, Const)
