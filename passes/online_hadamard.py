"""A Hadamard transform in front of a contraction, and its inverse in the weight.

x·W = (x·R)·(Rᵀ·W) for R = diag(ε)·(I ⊗ H)/√size: the values that are quantized have no outliers,
the outputs stay. A convolution takes Rᵀ for each tap of its kernel; its border of zeros stays zeros
(QuaRot, arXiv 2404.00456, section 4; MambaQuant, arXiv 2501.13484, section 4.2).

A product of two values takes one on each: (q·R)·(k·R)ᵀ = q·kᵀ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from qcompile.analysis.axes import OnlineSite
from qcompile.errors import UsageError
from qcompile.ir.blob import Blob, blob, spilled_blob
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.hadamard import Hadamard
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.source import Const
from qcompile.ir.rewrite import Site, rewrite
from qcompile.ir.types import Array
from qcompile.numerics.spreading import spread
from qcompile.passes.weights import IN_MEMORY

Contraction = Conv | ConvTranspose | MatMul


@dataclass(frozen=True)
class Edge:
    """What a contraction sums over: `axis` of the values x, `weight_axis` of the constant w.

    Blocks must divide `length`: the channels of a group, where there are groups.
    """

    x: Node
    axis: int
    w: Const
    weight_axis: int

    @property
    def length(self) -> int:
        """Channels that are mixed with each other."""
        found = self.w.type.shape[self.weight_axis]
        assert isinstance(found, int)
        return found


def edge_of(node: Node) -> Edge | None:
    """The edge of a contraction of real values with a constant; None for everything else."""
    match node:
        case Conv(x=x, w=Const() as w) if x.type.is_float:
            return Edge(x, 1, w, 1)
        case ConvTranspose(x=x, w=Const() as w, groups=1) if x.type.is_float:
            return Edge(x, 1, w, 0)
        case MatMul(a=x, b=Const() as w) if x.type.is_float:
            return Edge(x, x.type.rank - 1, w, w.type.rank - 2)
        case MatMul(a=Const() as w, b=x) if x.type.is_float:
            return Edge(x, x.type.rank - 2, w, w.type.rank - 1)
        case _:
            return None


def with_online(node: Contraction, *, size: int, seed: int = 0) -> Contraction:
    """The contraction on transformed values; the same outputs, up to rounding of the weight.

    `UsageError` when its weight is no constant, or blocks of `size` do not divide its channels.
    """
    edge = _edge(node, size)
    turned = Hadamard(edge.x, edge.axis, size, seed, name=f"{node.name}.hadamard")
    return _reading(node, edge, turned)


def insert_online(graph: Graph, sizes: Mapping[str, int], *, seed: int = 0) -> Graph:
    """Transforms in front of the contractions of these names; readers of one value share one.

    `UsageError` as `with_online`, and for names that are no contractions.
    """
    known = {node.name for node in graph.nodes if isinstance(node, Contraction)}
    unknown = [name for name in sizes if name not in known]
    if unknown:
        raise UsageError(f"no contraction named {', '.join(unknown)} in {graph.name}")
    shared: dict[tuple[Node, int, int], Hadamard] = {}

    def insert(node: Node, _: Site) -> Node | None:
        if not isinstance(node, Contraction) or node.name not in sizes:
            return None
        size = sizes[node.name]
        edge = _edge(node, size)
        key = edge.x, edge.axis, size
        if key not in shared:
            shared[key] = Hadamard(
                edge.x, edge.axis, size, seed, name=f"{edge.x.name}.hadamard{size}"
            )
        return _reading(node, edge, shared[key])

    return rewrite(graph, insert)


def insert_between(graph: Graph, sizes: Mapping[OnlineSite, int], *, seed: int = 0) -> Graph:
    """Transforms on both factors of the products at these sites; what reads one alike shares it.

    `UsageError` for a site without a partner, and where blocks do not divide it.
    """
    wanted: dict[tuple[Node, Node], tuple[int, int]] = {}
    for site, size in sizes.items():
        if site.partner is None:
            raise UsageError(f"{site} has no second factor: its inverse goes into weights")
        if site.size % size:
            raise UsageError(f"{site}: blocks of {size} do not divide {site.size}")
        for reader, side in zip(site.readers, (site.edge, site.partner), strict=True):
            wanted[reader, side.value] = side.axis, size
    shared: dict[tuple[Node, int, int], Hadamard] = {}

    def turned(value: Node, reader: Node, at: Site) -> Node:
        found = wanted.get((reader, at.was(value)))
        if found is None:
            return value
        axis, size = found
        name = f"{value.name}.hadamard{size}"
        return shared.setdefault((value, *found), Hadamard(value, axis, size, seed, name=name))

    return rewrite(
        graph,
        lambda node, at: node.with_operands(turned(o, at.was(node), at) for o in node.operands),
    )


def _edge(node: Contraction, size: int) -> Edge:
    edge = edge_of(node)
    if edge is None:
        raise UsageError(f"{node}: a transform needs a constant weight to take its inverse")
    if edge.length % size:
        raise UsageError(f"{node}: blocks of {size} do not divide the {edge.length} it sums over")
    return edge


def _reading(node: Contraction, edge: Edge, turned: Hadamard) -> Contraction:
    w = _turned_weight(edge, turned)
    return node.with_operands(
        turned if o is edge.x else w if o is edge.w else o for o in node.operands
    )


def _turned_weight(edge: Edge, turned: Hadamard) -> Const:
    """Rᵀ·W in float64, rounded once to the weight's format."""
    w, axis, size = edge.w, edge.weight_axis, turned.size
    source, kind = w.data, w.type.elem.storage

    def load() -> Array:
        moved = np.moveaxis(source.array(), axis, -1)
        rows = spread(moved.reshape(-1, moved.shape[-1]), order=size, seed=turned.seed)
        whole = np.moveaxis(rows.reshape(moved.shape), -1, axis)
        return np.ascontiguousarray(whole, kind)

    lazy = Blob(source.shape, source.dtype, load)
    data = blob(load()) if lazy.nbytes <= IN_MEMORY else spilled_blob(lazy)
    return Const(data, w.elem, name=w.name)
