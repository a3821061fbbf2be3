"""x → x T by an operation, T^-1 into the weights that read it (or T^-T onto the other factor)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qcompile.analysis.axes.sites import OnlineSite, Side
from qcompile.errors import UsageError
from qcompile.ir.blob import Blob, blob
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.source import Const, const
from qcompile.ir.rewrite import Site, rewrite
from qcompile.ir.types import Array
from qcompile.passes.weights import IN_MEMORY

Matrix: TypeAlias = NDArray[Any]
Insert: TypeAlias = Callable[[Node, int, Matrix], Node]
"""(value, axis, T) → the value times T along the axis."""


def times(value: Node, axis: int, matrix: Matrix) -> Node:
    """The value times T along an axis, as a matrix product or a 1x1 convolution."""
    name, kind, rank = f"{value.name}.turned", value.type.elem.storage, value.type.rank
    if axis == rank - 1:
        return MatMul(value, const(matrix.astype(kind), name=f"{name}.t"), name=name)
    if axis == rank - 2:
        return MatMul(const(matrix.T.astype(kind), name=f"{name}.t"), value, name=name)
    if axis != 1 or rank < 3:
        raise UsageError(f"{value}: no operation multiplies axis {axis} of rank {rank}")
    ones = (1,) * (rank - 2)
    kernel = const(matrix.T.reshape(*matrix.shape, *ones).astype(kind), name=f"{name}.t")
    return Conv(value, kernel, None, ones, (0, 0) * len(ones), ones, name=name)


def online(graph: Graph, site: OnlineSite, matrix: Matrix, *, insert: Insert = times) -> Graph:
    """The same function; what reads the site's edge reads `insert(edge, axis, T)` instead.

    T is [size, size] in float64. `UsageError` when it has no inverse. QuaRot (arXiv 2404.00456),
    section 4, stages 1c and 1d.
    """
    found = np.asarray(matrix, np.float64)
    if found.shape != (site.size, site.size):
        raise UsageError(
            f"site {site.name} takes a matrix [{site.size}, {site.size}], got {list(found.shape)}"
        )
    if not np.isfinite(found).all() or np.linalg.matrix_rank(found) < site.size:
        raise UsageError(f"site {site.name}: the matrix has no inverse")
    inverse = np.linalg.inv(found)
    turned: dict[Side, Matrix] = {site.edge: found}
    if site.partner is None:
        return _inserted(graph, turned, set(site.readers), inverse, insert)
    turned[site.partner] = inverse.T
    return _inserted(graph, turned, set(site.readers), None, insert)


def _inserted(
    graph: Graph,
    turned: Mapping[Side, Matrix],
    users: set[Node],
    inverse: Matrix | None,
    insert: Insert,
) -> Graph:
    sides = {side.value: side for side in turned}
    made: dict[Node, Node] = {}

    def swapped(operand: Node, at: Site) -> Node:
        side = sides.get(at.was(operand))
        if side is None:
            return operand
        if operand not in made:
            made[operand] = insert(operand, side.axis, turned[side])
        return made[operand]

    def rule(node: Node, at: Site) -> Node | None:
        if at.was(node) not in users:
            return None
        fresh = node.with_operands(swapped(o, at) for o in node.operands)
        return fresh if inverse is None else _undone(fresh, inverse)

    return rewrite(graph, rule)


def _undone(node: Node, inverse: Matrix) -> Node:
    """The contraction with T^-1 in the constant that it reads."""
    match node:
        case MatMul(b=Const() as w):
            return node.replace(b=_multiplied(w, w.type.rank - 2, inverse.T))
        case MatMul(a=Const() as w):
            return node.replace(a=_multiplied(w, w.type.rank - 1, inverse.T))
        case Conv(w=Const() as w):
            return node.replace(w=_multiplied(w, 1, inverse.T))
        case ConvTranspose(w=Const() as w):
            return node.replace(w=_multiplied(w, 0, inverse.T))
        case _:
            raise AssertionError(f"{node} contracts no constant")


def _multiplied(w: Const, axis: int, matrix: Matrix) -> Const:
    """w times a matrix along an axis, in float64, rounded once, when asked for."""
    source = w.data

    def load() -> Array:
        moved = np.moveaxis(source.array().astype(np.float64), axis, -1)
        return np.ascontiguousarray(np.moveaxis(moved @ matrix, -1, axis)).astype(source.dtype)

    lazy = Blob(source.shape, source.dtype, load)
    return Const(blob(load()) if lazy.nbytes <= IN_MEMORY else lazy, w.elem, name=w.name)
