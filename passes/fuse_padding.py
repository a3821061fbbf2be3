"""pad · conv → conv with that border; pad · average pool that counts its border likewise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv
from qcompile.ir.ops.pointwise import Clip, Relu
from qcompile.ir.ops.pool import AveragePool, MaxPool
from qcompile.ir.ops.shape import Pad
from qcompile.ir.rewrite import Site, until_same
from qcompile.passes.base import Meaning, Pass
from qcompile.passes.invariants import CANONICAL


@dataclass(frozen=True)
class FusePadding(Pass):
    """Zero borders on spatial axes only; a pool's border must already be free of meaning."""

    name: ClassVar[str] = "fuse-padding"
    requires = frozenset({CANONICAL})
    keeps: ClassVar[Meaning] = Meaning.CLOSELY

    def run(self, graph: Graph) -> Graph:
        """To a fixed point."""
        return until_same(graph, _fuse)


def _fuse(node: Node, site: Site) -> Node | None:
    match node:
        case Conv(x=Pad() as pad):
            pass
        case AveragePool(x=Pad() as pad) if not node.ceil and (
            node.count_border or not any(node.pads)
        ):
            pass
        case MaxPool(x=Pad(x=Relu()) as pad) if _window_meets_picture(node, pad):
            pass
        case MaxPool(x=Pad(x=Clip(lo=0.0)) as pad) if _window_meets_picture(node, pad):
            pass
        case _:
            return None
    rank = pad.type.rank
    spatial = (*pad.pads[2:rank], *pad.pads[rank + 2 :])
    outside = (*pad.pads[:2], *pad.pads[rank : rank + 2])
    if pad.mode != "constant" or pad.value != 0 or any(outside) or min(spatial) < 0:
        return None
    pads = tuple(a + b for a, b in zip(node.pads, spatial, strict=True))
    if isinstance(node, AveragePool):
        return node.replace(x=pad.x, pads=pads, count_border=True)
    return node.replace(x=pad.x, pads=pads)


def _window_meets_picture(pool: MaxPool, pad: Pad) -> bool:
    """No window lies wholly in the border, where −∞ would show instead of 0."""
    rank, n = pad.type.rank, pad.type.rank - 2
    before = [a + b for a, b in zip(pool.pads[:n], pad.pads[2:rank], strict=True)]
    after = [a + b for a, b in zip(pool.pads[n:], pad.pads[rank + 2 :], strict=True)]
    return not pool.ceil and all(
        max(b, a) < k and d == 1
        for b, a, k, d in zip(before, after, pool.kernel, pool.dilation, strict=True)
    )
