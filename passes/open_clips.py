"""clip(x, 0, c) → min(relu(x), c for each channel): what stops scales becomes a constant that takes
them.

A bound that is one number for all channels has no scale; c / s for each channel has: ReLU6 no
longer stands in the way of cross-layer equalization (Nagel et al., arXiv 1906.04721, section 4.1,
leaves it out).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite
from typing import ClassVar

import numpy as np

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Minimum
from qcompile.ir.ops.linear import Conv
from qcompile.ir.ops.pointwise import Clip, Relu
from qcompile.ir.ops.source import const
from qcompile.ir.rewrite import Site, rewrite
from qcompile.passes.base import Meaning, Pass


@dataclass(frozen=True)
class OpenClips(Pass):
    """Bounds whose scales another pass may want; `CloseClips` undoes what nobody used."""

    name: ClassVar[str] = "open-clips"
    keeps: ClassVar[Meaning] = Meaning.EXACTLY

    def run(self, graph: Graph) -> Graph:
        """Every such clip between convolutions."""
        return rewrite(graph, _opened)


def _opened(node: Node, site: Site) -> Node | None:
    match node:
        case Clip(x=Conv() as x, lo=lo, hi=hi) if lo in (0, -inf) and isfinite(hi) and hi > 0:
            pass
        case _:
            return None
    channels, was = node.type.shape[1], site.was(node)
    users = site.graph.users.get(was, ())
    if not isinstance(channels, int) or was in site.graph.results:
        return None
    if not any(isinstance(user, Conv) for user in users):
        return None
    spread = (channels, *(1,) * (node.type.rank - 2))
    caps = const(np.full(spread, hi, node.type.elem.storage), name=f"{node.name}.caps")
    below = Relu(x, name=f"{node.name}.relu") if lo == 0 else x
    return Minimum(below, caps, name=node.name)
