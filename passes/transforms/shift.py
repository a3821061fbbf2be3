"""v → v − z at shift sites: constants and biases take it up.

x W + b = (x − z) W + (b + z W)        Outlier Suppression+ (arXiv 2304.09145), equation 4
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.analysis.axes.laws.shifts_linear import takes_bias
from qcompile.analysis.axes.members import Member
from qcompile.analysis.axes.sites import ShiftSite
from qcompile.errors import UsageError
from qcompile.ir.blob import Blob, blob
from qcompile.ir.dims import static
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.norm import BatchNorm, LayerNorm
from qcompile.ir.ops.source import Const
from qcompile.ir.rewrite import Site, rewrite
from qcompile.ir.types import Array
from qcompile.passes.transforms.changes import shifting
from qcompile.passes.transforms.constants import changed
from qcompile.passes.weights import IN_MEMORY

Values = NDArray[Any]
Shifts = Mapping[Node, Values]
"""For each value what is taken off it, in its rank, 1 along axes where that is the same."""


def shifted(graph: Graph, chosen: Sequence[tuple[ShiftSite, Values]]) -> Graph:
    """The same function; the lead edge of each site becomes x − z.

    z is [size], or [count, size] with one row for each block. All sites are of this graph.
    `UsageError` unless all numbers are finite.
    """
    moves = [(site, _rows(graph, site, z)) for site, z in chosen]
    constants = changed([(m, shifting(z)) for site, z in moves for m in site.absorbs])
    shifts: dict[Node, Values] = {}
    for site, z in moves:
        for member in site.members:
            shifts[member.value] = shifts.get(member.value, 0.0) + taken_off(member, z)

    def rule(node: Node, at: Site) -> Node | None:
        if isinstance(node, Const):
            return constants.get(node)
        old = at.was(node)
        pairs = zip(node.operands, old.operands, strict=True)
        own = {new: shifts[before] for new, before in pairs if before in shifts}
        return absorbed(node, own, shifts.get(old))

    return rewrite(graph, rule)


def _rows(graph: Graph, site: ShiftSite, z: Values) -> Values:
    """z as [blocks, size]; `UsageError` for what is none, and for a site of another graph."""
    found = np.asarray(z, np.float64)
    if found.shape not in ((site.size,), (site.count, site.size)) or not np.isfinite(found).all():
        raise UsageError(
            f"site {site.name} takes {site.size} finite numbers, or [{site.count}, {site.size}], "
            f"got {list(found.shape)}"
        )
    if site.lead.value not in graph.users:
        raise UsageError(
            f"site {site.name} shifts {site.lead.value.name or 'a value'}, which is no value of "
            f"{graph.name}: find the sites of the graph that you change, after every change"
        )
    return found.reshape(-1, site.size)


def taken_off(member: Member, z: Values) -> Values:
    """exponent · z in the member's rank, 1 along axes where it is the same; z is [blocks, size]."""
    acted = {member.axis, *(block.axis for block in member.blocks)}
    whole = member.value.type.shape
    zeros = np.zeros(static(tuple(d if i in acted else 1 for i, d in enumerate(whole))))
    rows, ids = member.rows(zeros)
    return -member.put(zeros, shifting(z)(member, rows, ids))


def absorbed(node: Node, operands: Shifts, result: Values | None) -> Node | None:
    """The node with a bias, β or mean that takes up what its operands and its result lost; None
    where nothing does, since what an operation of shifted operands gives is shifted as it is."""
    match node:
        case MatMul() | Conv() | ConvTranspose() if takes_bias(node):
            return _biased(node, operands, result)
        case LayerNorm(beta=Const() as beta) if result is not None:
            return node.replace(beta=_less(beta, result.reshape(result.shape[-beta.type.rank :])))
        case BatchNorm(x=x, mean=Const() as mean, beta=Const() as beta):
            mean = _less(mean, operands[x].reshape(-1)) if x in operands else mean
            beta = _less(beta, result.reshape(-1)) if result is not None else beta
            return node.replace(mean=mean, beta=beta)
        case _:
            return None


def _biased(
    node: MatMul | Conv | ConvTranspose, operands: Shifts, result: Values | None
) -> Node | None:
    """b + z W − z'."""
    x, w = (node.a, node.b) if isinstance(node, MatMul) else (node.x, node.w)
    if (x not in operands and result is None) or not isinstance(w, Const):
        return None
    bias, features = node.bias, static((node.type.shape[-1 if isinstance(node, MatMul) else 1],))
    assert isinstance(bias, Const | None)
    kind = w.data.dtype

    def load() -> Array:
        total = np.zeros(features) if bias is None else bias.array.astype(np.float64)
        if x in operands:
            total = total + _through(node, operands[x], w.array.astype(np.float64))
        if result is not None:
            total = total - result.reshape(-1)
        return total.astype(kind)

    small = x not in operands or w.data.nbytes <= IN_MEMORY
    data = blob(load()) if small else Blob(features, kind, load)
    name = f"{node.name}.bias" if bias is None else bias.name
    return node.replace(bias=Const(data, w.elem, name=name))


def _through(node: MatMul | Conv | ConvTranspose, z: Values, w: Values) -> Values:
    """What the weight makes of z, for each output channel."""
    if isinstance(node, MatMul):
        return z.reshape(-1) @ w
    taps = w.sum(tuple(range(2, w.ndim)))
    grouped = z.reshape(node.groups, -1)
    return np.einsum("goc,gc->go", taps.reshape(node.groups, -1, taps.shape[1]), grouped).reshape(
        -1
    )


def _less(parameter: Const, taken: Values) -> Const:
    total = parameter.array.astype(np.float64) - taken
    return Const(blob(total.astype(parameter.data.dtype)), parameter.elem, name=parameter.name)
