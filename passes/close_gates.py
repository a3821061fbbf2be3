"""z · sigmoid(z · 1) → silu(z): a gate that was opened for a scale, and got none, is closed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Mul
from qcompile.ir.ops.pointwise import Sigmoid, Silu
from qcompile.ir.ops.source import Const
from qcompile.ir.rewrite import Site, rewrite
from qcompile.passes.base import Meaning, Pass


@dataclass(frozen=True)
class CloseGates(Pass):
    """Undoes `OpenGates` where the scale is still 1 everywhere."""

    name: ClassVar[str] = "close-gates"
    keeps: ClassVar[Meaning] = Meaning.CLOSELY

    def run(self, graph: Graph) -> Graph:
        """One walk is a fixed point."""
        return rewrite(graph, _closed)


def _closed(node: Node, site: Site) -> Node | None:
    match node:
        case Mul(a=z, b=Sigmoid(x=Mul(a=y, b=Const() as ones))) if y is z:
            return Silu(z, name=node.name) if (ones.array == 1).all() else None
        case _:
            return None
