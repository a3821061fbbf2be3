"""Attention and rotary positions, taken apart into products, masks and softmax."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from math import sqrt
from typing import Any

import numpy as np

from qcompile.errors import BadModel
from qcompile.frontends.onnx_call import Call, Opaque, Translator, scalar
from qcompile.frontends.onnx_tensor import elem_of
from qcompile.ir.dims import Dim, is_static
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add, And, Equal, Less, LessOrEqual, Mul, Sub, Where
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.pointwise import Cast, Neg, Not, Tanh
from qcompile.ir.ops.reduce import ReduceMax, Softmax
from qcompile.ir.ops.shape import Concat, Expand, Gather, Pad, Reshape, Slice, Transpose
from qcompile.ir.ops.source import Const, const
from qcompile.ir.types import BOOL, Scalar

_NEVER = -1e9  # a score whose e^x is 0, finite so that it can be quantized
_NEVER_HALF = -6e4


@dataclass(frozen=True)
class Mask:
    """What a query may read: `allowed` truth values, and `bias` that is added to scores."""

    allowed: Node | None = None
    bias: Node | None = None


def _attention(call: Call) -> tuple[Node, ...]:
    """softmax(cap(q·kᵀ·scale) + mask)·v; heads of k and v are shared; past ones come first."""
    q, k, v = (_heads(call, i, heads) for i, heads in enumerate(("q_", "kv_", "kv_")))
    past = 0 if call.maybe(4) is None else _length(call.x(4), 2)
    k = k if call.maybe(4) is None else Concat((call.x(4), k), 2)
    v = v if call.maybe(5) is None else Concat((call.x(5), v), 2)
    scores, whole = _scores(call, q, shared(k, q))
    mask = _mask(call, scores, past)
    weights = _weights(call, _masked(whole, mask, _NEVER), mask)
    y: Node = MatMul(weights, shared(v, q))
    if call.kind(0).rank == 3:
        b, h, n, s = y.type.shape
        y = Reshape(Transpose(y, (0, 2, 1, 3)), (b, n, h * s))
    seen = (scores, whole, _masked(whole, mask, -np.inf), weights)
    return y, k, v, seen[call.integer("qk_matmul_output_mode", 0)]


def _heads(call: Call, index: int, which: str) -> Node:
    """An operand as [n, heads, length, size]."""
    x = call.x(index)
    if x.type.rank == 4:
        return x
    count = call.integer(f"{which}num_heads", 0)
    b, n, width = x.type.shape
    if count < 1 or not isinstance(width, int) or width % count:
        raise BadModel(f"{call}: {x.type} does not divide into {count} heads")
    return Transpose(Reshape(x, (b, n, count, width // count)), (0, 2, 1, 3))


def shared(x: Node, like: Node) -> Node:
    """Each head of x, side by side, as often as several heads of `like` read it."""
    b, heads, n, s = x.type.shape
    wanted = like.type.shape[1]
    if heads == wanted:
        return x
    if not isinstance(heads, int) or not isinstance(wanted, int) or wanted % heads:
        raise BadModel(f"{wanted} heads cannot share {heads}")
    times = wanted // heads
    wide = Expand(Reshape(x, (b, heads, 1, n, s)), (b, heads, times, n, s))
    return Reshape(wide, (b, wanted, n, s))


def _scores(call: Call, q: Node, k: Node) -> tuple[Node, Node]:
    """q·kᵀ·scale, without and with the cap."""
    size = _length(q, 3)
    scale = call.real("scale", 1 / sqrt(size))
    turned: Node = Transpose(k, (0, 1, 3, 2))
    if q.type.elem.bits < 32:  # so that no half of a product overflows
        scale = sqrt(scale)
        turned = Mul(turned, scalar(scale, q))
    scores = MatMul(Mul(q, scalar(scale, q)), turned)
    cap = call.real("softcap", 0.0)
    if cap <= 0:
        return scores, scores
    inside = Tanh(Mul(scores, scalar(1 / cap, q)))
    return scores, Mul(inside, scalar(cap, q))


def _mask(call: Call, scores: Node, past: int) -> Mask:
    """The operand's mask, the causal one and the window's, together."""
    given = call.maybe(3)
    short = 0 if given is None else _length(scores, 3) - _length(given, given.type.rank - 1)
    if given is not None and short > 0:
        border = (0,) * (2 * given.type.rank - 1) + (short,)
        given = Pad(given, border, value=0.0 if given.type.elem == BOOL else -np.inf)
    counted = call.maybe(6)
    rules: list[Node | None] = [_fixed(call, scores, past)] if counted is None else []
    rules += [] if counted is None else [_filled(call, scores, counted)]
    if given is None or given.type.elem == BOOL:
        return Mask(_all([given, *rules]))
    return _together(_all(rules), given)


def _together(allowed: Node | None, bias: Node) -> Mask:
    """What a bias forbids by −∞ is not allowed, as far as that is known beforehand."""
    if isinstance(bias, Const):
        values: Any = np.asarray(bias.array)
        some = values > -np.inf
        rest = const(np.where(some, values, 0).astype(values.dtype))
        return Mask(_all([allowed, const(some)]), rest if rest.array.any() else None)
    return Mask(None, bias if allowed is None else Where(allowed, bias, scalar(-np.inf, bias)))


def _all(rules: list[Node | None]) -> Node | None:
    found = [rule for rule in rules if rule is not None]
    return reduce(And, found) if found else None


def _filled(call: Call, scores: Node, counted: Node) -> Node:
    """Of each cache the places that are filled; rows end where these do."""
    rows, columns = _length(scores, 2), _length(scores, 3)
    count = Reshape(counted, (*counted.type.shape, 1, 1, 1))
    past = Sub(count, scalar(rows, count))
    places: Any = np.arange(columns)[None, None, None]
    ahead = const(places - np.arange(rows)[:, None], elem=count.type.elem)
    rules: list[Node] = [Less(const(places, elem=count.type.elem), count)]
    left, right = call.integer("left_window_size", -1), call.integer("right_window_size", -1)
    if call.flag("is_causal"):
        rules.append(LessOrEqual(ahead, past))
    if left >= 0:
        rules.append(LessOrEqual(Sub(past, scalar(left, past)), ahead))
    if right >= 0:
        rules.append(LessOrEqual(ahead, Add(past, scalar(right, past))))
    return reduce(And, rules)


def _fixed(call: Call, scores: Node, past: int) -> Const | None:
    """What the attributes allow: no later places, none outside of the window."""
    causal = call.flag("is_causal")
    left, right = call.integer("left_window_size", -1), call.integer("right_window_size", -1)
    if not causal and left < 0 and right < 0:
        return None
    rows, columns = _length(scores, 2), _length(scores, 3)
    back: Any = np.arange(rows)[:, None] + past - np.arange(columns)[None]
    allowed = np.ones((rows, columns), np.bool_)
    allowed &= (back >= 0) | (not causal)
    allowed &= (back <= left) | (left < 0)
    allowed &= (-back <= right) | (right < 0)
    return const(allowed)


def _masked(scores: Node, mask: Mask, least: float) -> Node:
    """Scores with the bias, and the least where the mask forbids."""
    if mask.bias is not None:
        scores = Add(scores, mask.bias)
    if mask.allowed is None:
        return scores
    halves = least == _NEVER and scores.type.elem.bits < 32
    return Where(mask.allowed, scores, scalar(_NEVER_HALF if halves else least, scores))


def _weights(call: Call, scores: Node, mask: Mask) -> Node:
    """The softmax, 0 in rows that may read nothing."""
    elem, code = scores.type.elem, call.integer("softmax_precision", 0)
    wide: Scalar = elem_of(code, where=str(call)) if code else elem
    x = scores if wide == elem else Cast(scores, wide)
    weights: Node = Softmax(x, x.type.rank - 1)
    weights = weights if wide == elem else Cast(weights, elem)
    if mask.bias is not None and mask.allowed is None:
        best = ReduceMax(mask.bias, (mask.bias.type.rank - 1,))
        reads = Not(Equal(best, scalar(-np.inf, best)))
        weights = Where(reads, weights, scalar(0.0, weights))
    if mask.allowed is not None and not _every_row(mask.allowed):
        weights = Where(mask.allowed, weights, scalar(0.0, weights))
    return weights


def _every_row(allowed: Node) -> bool:
    """True when each row is known to read something."""
    match allowed:
        case Const():
            return bool(np.asarray(allowed.array).any(-1).all())
        case And(a=Const() as a, b=Const() as b):
            return bool(np.logical_and(a.array, b.array).any(-1).all())
        case _:
            return False


def _length(x: Node, axis: int) -> int:
    found = x.type.shape[axis]
    if not isinstance(found, int):
        raise Opaque(f"an open length in {x.type}")
    return found


def _rotary(call: Call) -> Node:
    """x turned by the angles of its places; tables are [places, size/2], or one row for each x."""
    return _turned(call, call.x(1), call.x(2), call.maybe(3))


def rotary_of_runtime(call: Call) -> Node:
    """onnxruntime's own form, which has the places first."""
    if call.real("scale", 1.0) != 1 or call.flag("is_packed_batching") or call.kind(1).rank != 2:
        raise Opaque("scaled, packed, or counted from one number")
    return _turned(call, call.x(2), call.x(3), call.x(1))


def _turned(call: Call, cos: Node, sin: Node, places: Node | None) -> Node:
    x = call.x(0)
    if places is not None:
        cos, sin = Gather(cos, places, 0), Gather(sin, places, 0)
    apart, axis = x, 1
    if x.type.rank == 3:
        b, n, width = x.type.shape
        heads = call.integer("num_heads", 0) or _implied_heads(call, width, cos)
        if not isinstance(width, int) or width % heads:
            raise BadModel(f"{call}: {x.type} does not divide into {heads} heads")
        apart, axis = Reshape(x, (b, n, heads, width // heads)), 2
    size = _length(apart, 3)
    turning = call.integer("rotary_embedding_dim", 0) or size
    y = turned(apart, cos, sin, turning, interleaved=call.flag("interleaved"), axis=axis)
    return Reshape(y, x.type.shape) if x.type.rank == 3 else y


def turned(
    x: Node, cos: Node, sin: Node, turning: int, *, interleaved: bool, axis: int = 1
) -> Node:
    """A head's first `turning` numbers by tables [n, length, turning/2]; heads are at `axis`."""
    size = _length(x, 3)
    tables = [_spread(_beside(t, axis), interleaved=interleaved) for t in (cos, sin)]
    part = _cut(x, 0, turning) if turning < size else x
    quarter = _quarter_turn(part, interleaved=interleaved)
    y: Node = Add(Mul(part, tables[0]), Mul(quarter, tables[1]))
    return Concat((y, _cut(x, turning, size)), 3) if turning < size else y


def _implied_heads(call: Call, width: Dim, table: Node) -> int:
    """As many as there are tables' widths in a row."""
    half = table.type.shape[-1]
    if not isinstance(width, int) or not isinstance(half, int) or width % (2 * half):
        raise BadModel(f"{call}: num_heads is missing")
    return width // (2 * half)


def _beside(table: Node, axis: int) -> Node:
    """[n, length, half] with an axis of 1 for the heads."""
    shape = list(table.type.shape)
    return Reshape(table, (*shape[:axis], 1, *shape[axis:]))


def _spread(table: Node, *, interleaved: bool) -> Node:
    """Each angle for both of its numbers: halves alike, or neighbours alike."""
    if not interleaved:
        return Concat((table, table), 3)
    *lead, half = table.type.shape
    if not is_static(tuple(lead)):
        raise Opaque("neighbours under open lengths")
    pairs = Expand(Reshape(table, (*lead, half, 1)), (*lead, half, 2))
    return Reshape(pairs, (*lead, 2 * half))


def _quarter_turn(x: Node, *, interleaved: bool) -> Node:
    """(−b, a) of each pair (a, b): halves, or neighbours."""
    size = _length(x, 3)
    if not interleaved:
        return Concat((Neg(_cut(x, size // 2, size)), _cut(x, 0, size // 2)), 3)
    pairs = Reshape(x, (*x.type.shape[:3], size // 2, 2))
    a, b = (Slice(pairs, (4,), (i,), (i + 1,), (1,)) for i in (0, 1))
    return Reshape(Concat((Neg(b), a), 4), x.type.shape)


def _cut(x: Node, start: int, stop: int) -> Node:
    return Slice(x, (3,), (start,), (stop,), (1,))


ATTENTION: dict[str, Translator] = {"Attention": _attention, "RotaryEmbedding": _rotary}
