"""f(const, const) → const. Large results stay promises: computed when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from qcompile.ir.blob import Blob, blob
from qcompile.ir.dims import is_static, static
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.foreign import Foreign
from qcompile.ir.ops.quant import FakeQuant, FakeQuantDynamic, Observe
from qcompile.ir.ops.source import Const, Input
from qcompile.ir.rewrite import Site, rewrite
from qcompile.passes.base import Meaning, Pass
from qcompile.passes.weights import IN_MEMORY


@dataclass(frozen=True)
class FoldConstants(Pass):
    """Evaluates what depends on constants only; the markers of quantization stay."""

    name: ClassVar[str] = "fold-constants"
    keeps: ClassVar[Meaning] = Meaning.EXACTLY

    def run(self, graph: Graph) -> Graph:
        """One bottom-up walk is a fixed point."""
        return rewrite(graph, _fold)


def _fold(node: Node, site: Site) -> Node | None:
    if isinstance(node, Const | Input | Observe | FakeQuant | FakeQuantDynamic | Foreign):
        return None
    if not node.operands or not is_static(node.type.shape):
        return None
    if not all(isinstance(o, Const) for o in node.operands):
        return None
    return Const(promise(node), node.type.elem, node.type.unit, name=node.name)


def promise(node: Node) -> Blob:
    """The value of a node whose operands are all constants, as a blob."""
    operands = [o for o in node.operands if isinstance(o, Const)]

    def load() -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
        return node.evaluate(*(o.array for o in operands))

    lazy = Blob(static(node.type.shape), node.type.elem.storage, load)
    return blob(load()) if lazy.nbytes <= IN_MEMORY else lazy
