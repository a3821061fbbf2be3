"""silu(z) in front of a product → z · sigmoid(z · 1): the ones take a scale that silu stops.

Then z may become z / s and the ones s, since (z / s) · sigmoid(s · (z / s)) = silu(z) / s: what
stands behind a gate can be smoothed through the gate's own weights (MambaQuant, arXiv 2501.13484,
section 4.2, smooth-fused rotation).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Mul
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
        """Every silu that products of two values read, through moves, and nothing else."""
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
    """All that reads the value, behind moves, multiplies it with another computed value."""
    users = graph.users.get(value, ())
    return bool(users) and value not in graph.results and all(_multiplies(u, graph) for u in users)


def _multiplies(user: Node, graph: Graph) -> bool:
    match user:
        case Mul(a=a, b=b):
            return not isinstance(a, Const) and not isinstance(b, Const)
        case Reshape() | Transpose():
            return _gates(user, graph)
        case _:
            return False
