"""One spelling for each meaning: what does nothing goes, constants move to one side.

x − c → x + (−c), x / c → x · (1/c), max(x, c) → clip, conv + c → conv with bias, and so on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from qcompile.ir.dims import is_static, static
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add, Div, Maximum, Minimum, Mul, Prelu, Sub
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.pointwise import Cast, Clip, LeakyRelu, Relu
from qcompile.ir.ops.pool import AveragePool
from qcompile.ir.ops.reduce import ReduceMean
from qcompile.ir.ops.shape import Concat, Expand, Gather, Pad, Reshape, Slice, Transpose
from qcompile.ir.ops.source import Const, const
from qcompile.ir.rewrite import Site, first_of, until_same
from qcompile.passes.base import Meaning, Pass
from qcompile.passes.canonical_masks import constant_mask, guarded_softmax
from qcompile.passes.invariants import CANONICAL


@dataclass(frozen=True)
class Canonicalize(Pass):
    """Rewrites to the spellings that later passes look for."""

    name: ClassVar[str] = "canonicalize"
    gives = frozenset({CANONICAL})
    keeps: ClassVar[Meaning] = Meaning.CLOSELY

    def run(self, graph: Graph) -> Graph:
        """To a fixed point."""
        return until_same(
            graph,
            first_of(
                _drop_idle, _merge_moves, _cut_joined, _constant_right, _no_sub_div, _as_clip,
                _merge_clips, _as_bias, _whole_pool, _leaky, _in_order, constant_mask,
                guarded_softmax,
            ),
        )  # fmt: skip


def _drop_idle(node: Node, site: Site) -> Node | None:
    """What gives back its operand goes."""
    match node:
        case Reshape(x=x) | Expand(x=x) | Slice(x=x) | Cast(x=x) if node.type == x.type:
            idle = not isinstance(node, Slice) or all(s == 1 for s in node.steps)
            return x if idle else None
        case Transpose(x=x, perm=perm) if perm == tuple(range(len(perm))):
            return x
        case Pad(x=x, pads=pads) if not any(pads):
            return x
        case Concat(xs=(only,)):
            return only
        case Clip(x=x, lo=lo, hi=hi) if lo == -np.inf and hi == np.inf:
            return x
        case Mul(a=x, b=Const() as c) if x.type == node.type and _all_equal(c, 1):
            return x
        case Add(a=x, b=Const() as c) if x.type == node.type and _all_equal(c, 0):
            return x
        case _:
            return None


def _merge_moves(node: Node, site: Site) -> Node | None:
    """reshape · reshape → reshape, transpose · transpose → transpose."""
    match node:
        case Reshape(x=Reshape(x=x)):
            return Reshape(x, node.shape, name=node.name)
        case Transpose(x=Transpose(x=x, perm=inner), perm=outer):
            return Transpose(x, tuple(inner[p] for p in outer), name=node.name)
        case _:
            return None


def _cut_joined(node: Node, site: Site) -> Node | None:
    """A cut through joined parts → the parts that it takes whole, or a cut of the only one."""
    match node:
        case Slice(x=Concat(xs=xs, axis=axis), axes=(along,), steps=(1,)) if along == axis:
            (start,), (stop,) = node.starts, node.stops
        case _:
            return None
    if not isinstance(stop, int) or not is_static(tuple(x.type.shape[axis] for x in xs)):
        return None
    end = first = 0
    taken: list[tuple[Node, bool]] = []
    for x in xs:
        begin, end = end, end + static(x.type.shape[axis : axis + 1])[0]
        if begin < stop and start < end:
            first = first if taken else begin
            taken.append((x, start <= begin and end <= stop))
    if len(taken) == 1:
        ((part, _),) = taken
        return Slice(part, (axis,), (start - first,), (stop - first,), (1,), name=node.name)
    if taken and all(whole for _, whole in taken):
        return Concat(tuple(x for x, _ in taken), axis, name=node.name)
    return None


def _constant_right(node: Node, site: Site) -> Node | None:
    match node:
        case Add(a=Const() as c, b=x) | Mul(a=Const() as c, b=x) if not isinstance(x, Const):
            return node.replace(a=x, b=c)
        case _:
            return None


def _no_sub_div(node: Node, site: Site) -> Node | None:
    match node:
        case Sub(a=x, b=Const() as c) if x.type.is_float:
            return Add(x, const(-_numbers(c), name=c.name), name=node.name)
        case Div(a=x, b=Const() as c) if x.type.is_float and np.all(_numbers(c) != 0):
            return Mul(x, const(np.reciprocal(_numbers(c)), name=c.name), name=node.name)
        case _:
            return None


def _as_clip(node: Node, site: Site) -> Node | None:
    """min and max with one number are clips; clip(0, ∞) is relu."""
    match node:
        case Maximum(a=x, b=Const() as c) | Maximum(a=Const() as c, b=x) if _scalar(c, x):
            return Clip(x, lo=float(c.array.reshape(())), name=node.name)
        case Minimum(a=x, b=Const() as c) | Minimum(a=Const() as c, b=x) if _scalar(c, x):
            return Clip(x, hi=float(c.array.reshape(())), name=node.name)
        case Clip(x=x, lo=lo, hi=hi) if lo == 0 and hi == np.inf and x.type.is_float:
            return Relu(x, name=node.name)
        case _:
            return None


def _merge_clips(node: Node, site: Site) -> Node | None:
    """clip · clip → clip with both bounds; relu counts as clip(0, ∞)."""
    match node:
        case Clip(x=Clip(x=x, lo=low, hi=high), lo=lo, hi=hi):
            return Clip(x, _held(low, lo, hi), _held(high, lo, hi), name=node.name)
        case Clip(x=Relu(x=x), lo=lo, hi=hi) if hi >= 0:
            return Clip(x, max(lo, 0.0), hi, name=node.name)
        case Relu(x=Clip(x=x, lo=lo, hi=hi)) if hi >= 0:
            return Clip(x, max(lo, 0.0), hi, name=node.name)
        case Relu(x=Relu() as inner):
            return inner
        case _:
            return None


def _as_bias(node: Node, site: Site) -> Node | None:
    """contraction + constant per channel → contraction with bias."""
    match node:
        case Add(a=Conv() | ConvTranspose() as conv, b=Const() as c) if site.sole(conv):
            spread = _per_channel(c, conv, axis=1)
        case Add(a=MatMul() as conv, b=Const() as c) if site.sole(conv):
            spread = _per_channel(c, conv, axis=conv.type.rank - 1)
        case _:
            return None
    match conv.bias:
        case None if spread is not None:
            return conv.replace(bias=const(spread, name=c.name), name=node.name)
        case Const() as old if spread is not None:
            return conv.replace(bias=const(_numbers(old) + spread, name=c.name), name=node.name)
        case _:
            return None


def _whole_pool(node: Node, site: Site) -> Node | None:
    """An average over the whole picture is a mean."""
    match node:
        case AveragePool(x=x, kernel=kernel) if x.type.shape[2:] == kernel and not any(node.pads):
            if any(d != 1 for d in node.type.shape[2:]):
                return None
            return ReduceMean(x, tuple(range(2, x.type.rank)), name=node.name)
        case _:
            return None


def _leaky(node: Node, site: Site) -> Node | None:
    """prelu with one slope → leaky relu; else relu(x) + slope · min(x, 0)."""
    match node:
        case Prelu(x=x, slope=Const() as slope) if slope.data.nbytes <= 4 * 65536:
            values = _numbers(slope)
        case _:
            return None
    if values.size and np.all(values == values.flat[0]):
        return LeakyRelu(x, float(values.flat[0]), name=node.name)
    negative = Mul(Clip(x, hi=0.0), slope, name=f"{node.name}.negative")
    return Add(Relu(x), negative, name=node.name)


def _in_order(node: Node, site: Site) -> Node | None:
    """A look-up of places in a row, each once and spread → slice, reshape and expand."""
    match node:
        case Gather(x=x, indices=Const() as c, axis=axis) if 0 < c.data.nbytes < 1 << 26:
            length = x.type.shape[axis]
        case _:
            return None
    if not isinstance(length, int) or x.type.unit is not None:
        return None
    given: NDArray[np.int64] = np.asarray(c.array).astype(np.int64)
    one = _unspread(np.where(given < 0, given + length, given))
    first, last = int(one.reshape(-1)[0]), int(one.reshape(-1)[-1]) + 1
    if not np.array_equal(one.reshape(-1), np.arange(first, last)) or last > length:
        return None
    part = x if one.size == length else Slice(x, (axis,), (first,), (last,), (1,))
    apart = Reshape(part, (*x.type.shape[:axis], *one.shape, *x.type.shape[axis + 1 :]))
    return Expand(apart, node.type.shape, name=node.name)


def _unspread(places: NDArray[np.int64]) -> NDArray[np.int64]:
    """One of each axis along which nothing changes."""
    for axis in range(places.ndim):
        one = np.take(places, [0], axis)
        places = one if np.array_equal(np.broadcast_to(one, places.shape), places) else places
    return places


def _numbers(c: Const) -> Any:
    return np.asarray(c.array)


def _scalar(c: Const, x: Node) -> bool:
    return c.data.nbytes <= 8 and x.type.is_float and c.type.rank <= x.type.rank


def _all_equal(c: Const, value: float) -> bool:
    return c.data.nbytes <= 1 << 16 and bool(np.all(_numbers(c) == value))


def _held(bound: float, lo: float, hi: float) -> float:
    return min(max(bound, lo), hi)


def _per_channel(c: Const, conv: Node, *, axis: int) -> Any:
    """The constant as [channels], or None when it varies along another axis or widens x."""
    shape, rank = static(c.type.shape), conv.type.rank
    channels = conv.type.shape[axis]
    if len(shape) > rank or not isinstance(channels, int) or not c.type.is_float:
        return None
    full = (1,) * (rank - len(shape)) + shape
    if any(d != 1 for i, d in enumerate(full) if i != axis):
        return None
    return np.broadcast_to(_numbers(c).reshape(-1), (channels,)).astype(c.type.elem.storage)
