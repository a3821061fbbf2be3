"""min(relu(x), c) → clip(x, 0, c): a bound that was opened for scales, and got none, is closed."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import ClassVar

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Minimum
from qcompile.ir.ops.pointwise import Clip, Relu
from qcompile.ir.ops.source import Const
from qcompile.ir.rewrite import Site, rewrite
from qcompile.passes.base import Meaning, Pass


@dataclass(frozen=True)
class CloseClips(Pass):
    """Undoes `OpenClips` where all channels still have one bound."""

    name: ClassVar[str] = "close-clips"
    keeps: ClassVar[Meaning] = Meaning.EXACTLY

    def run(self, graph: Graph) -> Graph:
        """One walk is a fixed point."""
        return rewrite(graph, _closed)


def _closed(node: Node, site: Site) -> Node | None:
    match node:
        case Minimum(a=x, b=Const() as caps) if node.type.shape == x.type.shape:
            pass
        case _:
            return None
    values = caps.array
    if not node.type.is_float or values.size == 0 or not (values == values.reshape(-1)[0]).all():
        return None
    hi = float(values.reshape(-1)[0])
    if isinstance(x, Relu) and hi >= 0:
        return Clip(x.x, 0.0, hi, name=node.name)
    return Clip(x, -inf, hi, name=node.name)
