"""Narrow weights as the bytes or reals that kernels multiply: a graph for a back end alone."""

from __future__ import annotations

from dataclasses import dataclass

from qcompile.ir.blob import Blob, blob, spilled_blob
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.integer import ExpandGroups
from qcompile.ir.ops.quant import Dequantize
from qcompile.ir.ops.source import Const
from qcompile.ir.rewrite import Site, rewrite
from qcompile.passes.weights import IN_MEMORY


def with_whole_weights(graph: Graph) -> Graph:
    """The same values with every constant's groups expanded, and weights for reals made real; large
    ones when they are asked for.

    `graph.qc` keeps the narrow form; what a back end stores of this one counts as its own.
    """
    return rewrite(graph, _expand)


def _expand(node: Node, _: Site) -> Const | None:
    match node:
        case ExpandGroups(x=Const() as narrow):
            return _evaluated(node, narrow)
        case Dequantize(x=Const() as narrow):
            return _evaluated(node, narrow)
        case _:
            return None


@dataclass(frozen=True, eq=False)
class Whole(Blob):
    """A constant that was computed from a narrow one."""

    narrow: Const


def narrow_form(node: Const) -> Const:
    """The constant as the graph has it: narrow, or itself."""
    return node.data.narrow if isinstance(node.data, Whole) else node


def _evaluated(node: Node, narrow: Const) -> Const:
    source = narrow.data
    lazy = Blob(source.shape, node.type.elem.storage, lambda: node.evaluate(source.array()))
    whole = Whole(lazy.shape, lazy.dtype, held(lazy).load, narrow_form(narrow))
    return Const(whole, node.type.elem, node.type.unit, name=narrow.name)


def held(lazy: Blob) -> Blob:
    """A constant that is computed once: in memory, a large one in a nameless file."""
    return blob(lazy.array()) if lazy.nbytes <= IN_MEMORY else spilled_blob(lazy)
