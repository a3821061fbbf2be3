"""(x + c) @ w → x @ w + c @ w: a constant shift goes into the bias behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from qcompile.ir.blob import Blob, blob
from qcompile.ir.dims import static
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.source import Const
from qcompile.ir.rewrite import Site, rewrite
from qcompile.ir.types import Array
from qcompile.passes.base import Meaning, Pass
from qcompile.passes.weights import IN_MEMORY


@dataclass(frozen=True)
class FoldShifts(Pass):
    """Takes a vector that is added, when matrix products with constants are all that reads it.

    The shift of a norm (β) goes this way. Formula: b' = b + β W, QuaRot (arXiv 2404.00456),
    section 4, stage 1a.
    """

    name: ClassVar[str] = "fold-shifts"
    keeps: ClassVar[Meaning] = Meaning.CLOSELY

    def run(self, graph: Graph) -> Graph:
        """One walk is a fixed point."""
        return rewrite(graph, _fold)


def _fold(node: Node, site: Site) -> Node | None:
    match node:
        case MatMul(a=Add(a=x, b=Const() as c) as total, b=Const() as w, bias=bias):
            pass
        case _:
            return None
    if not isinstance(bias, Const | None) or w.type.rank != 2 or x.type != total.type:
        return None
    vector = c.data.size == w.type.shape[0] == c.type.shape[-1] if c.type.shape else False
    if not vector or not _only_products(site.was(total), site.graph):
        return None
    return node.replace(a=x, bias=_shifted(bias, c, w, name=f"{node.name}.bias"))


def _only_products(total: Node, graph: Graph) -> bool:
    return total not in graph.results and all(
        isinstance(user, MatMul)
        and user.a is total
        and isinstance(user.b, Const)
        and user.b.type.rank == 2
        and isinstance(user.bias, Const | None)
        for user in graph.users.get(total, ())
    )


def _shifted(bias: Const | None, c: Const, w: Const, *, name: str) -> Const:
    kind = w.data.dtype

    def load() -> Array:
        shift = c.array.reshape(-1).astype(np.float64) @ w.array.astype(np.float64)
        return (shift if bias is None else shift + bias.array).astype(kind)

    lazy = Blob(static(w.type.shape)[1:], kind, load)
    return Const(blob(load()) if w.data.nbytes <= IN_MEMORY else lazy, w.elem, name=name)
