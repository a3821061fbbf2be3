"""onnxruntime's attentions (com.microsoft), taken apart into products, masks and softmax."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from qcompile.errors import BadModel
from qcompile.frontends.onnx_attention import shared, turned
from qcompile.frontends.onnx_call import Call, Opaque, Translator, scalar
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add, And, Less, LessOrEqual, Mul, Where
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.pointwise import Cast, Tanh
from qcompile.ir.ops.reduce import Softmax
from qcompile.ir.ops.shape import Concat, Reshape, Slice, Transpose
from qcompile.ir.ops.source import const
from qcompile.ir.types import BOOL

_NEVER = -1e9  # a score whose e^x is 0, finite so that it can be quantized
_FILTER = -10000.0  # what the operators add to a score that a mask forbids, unless they say


@dataclass(frozen=True)
class Heads:
    """Queries, keys and values, each [batch, heads, length, size]."""

    q: Node
    k: Node
    v: Node


def _attention(call: Call) -> tuple[Node, ...]:
    """Projections of one input; the weight holds those of q, k and v side by side."""
    if call.flag("do_rotary") or call.flag("past_present_share_buffer"):
        raise Opaque("turned, or kept in one buffer")
    x, w = call.x(0), call.x(1)
    whole = MatMul(x, w, call.maybe(2))
    width = _static(w, 1)
    sizes = call.integers("qkv_hidden_sizes", (width // 3,) * 3)
    count = call.integer("num_heads")
    stops = [sum(sizes[: i + 1]) for i in range(3)]
    parts = [
        Slice(whole, (2,), (stop - size,), (stop,), (1,))
        for size, stop in zip(sizes, stops, strict=True)
    ]
    heads = Heads(*(_apart(call, part, count) for part in parts))
    past = call.maybe(4)
    if past is not None:
        before = [Slice(past, (0,), (i,), (i + 1,), (1,)) for i in range(2)]
        old = [Reshape(p, past.type.shape[1:]) for p in before]
        heads = Heads(heads.q, Concat((old[0], heads.k), 2), Concat((old[1], heads.v), 2))
    y = _mixed(call, heads, mask=call.maybe(3), bias=call.maybe(5))
    if not any(call.wanted[1:2]):
        return (y,)
    both = [Reshape(p, (1, *p.type.shape)) for p in (heads.k, heads.v)]
    return y, Concat(tuple(both), 0)


def _multi_head(call: Call) -> tuple[Node, ...]:
    """q, k and v given apart, with one bias for all three."""
    if call.x(0).type.rank != 3 or call.maybe(1) is None or call.maybe(2) is None:
        raise Opaque("packed")
    count = call.integer("num_heads")
    parts = [call.x(i) for i in range(3)]
    bias = call.maybe(3)
    if bias is not None:
        if any(part.type.rank != 3 for part in parts):
            raise Opaque("a bias of keys that are heads already")
        parts = _biased(parts, bias)
    heads = Heads(*(_apart(call, part, count) for part in parts))
    if call.maybe(8) is not None or call.maybe(9) is not None or any(call.wanted[3:]):
        raise Opaque("kept in one buffer")
    if call.maybe(6) is not None:
        k, v = Concat((call.x(6), heads.k), 2), Concat((call.x(7), heads.v), 2)
        heads = Heads(heads.q, k, v)
    return _mixed(call, heads, mask=call.maybe(4), bias=call.maybe(5)), heads.k, heads.v


def _biased(parts: Sequence[Node], bias: Node) -> list[Node]:
    start = 0
    found: list[Node] = []
    for part in parts:
        width = _static(part, 2)
        found.append(Add(part, Slice(bias, (0,), (start,), (start + width,), (1,))))
        start += width
    return found


def _grouped_query(call: Call) -> tuple[Node, ...]:
    """A prompt: several heads of q share one of k and v, places count from 0."""
    count, kv = call.integer("num_heads"), call.integer("kv_num_heads")
    past = call.maybe(3)
    if past is not None and past.type.shape[2] != 0:
        raise Opaque("goes on behind keys of another length in each row")
    if call.flag("smooth_softmax") or any(call.maybe(i) is not None for i in (9, 11, 12, 13)):
        raise Opaque("counts places from its operands, or has a sink")
    heads = _packed(call, count, kv) if call.maybe(1) is None else Heads(
        _apart(call, call.x(0), count), _apart(call, call.x(1), kv), _apart(call, call.x(2), kv)
    )  # fmt: skip
    if call.flag("do_rotary"):
        spread = call.flag("rotary_interleaved")
        q, k = (_rotated(call, part, interleaved=spread) for part in (heads.q, heads.k))
        heads = Heads(q, k, heads.v)
    allowed = _of_prompt(call, heads.q)
    y = _product(call, heads, allowed, call.maybe(10))
    return y, heads.k, heads.v


def _packed(call: Call, count: int, kv: int) -> Heads:
    """[batch, length, (heads + 2 · kv) · size]."""
    x = call.x(0)
    size = _static(x, 2) // (count + 2 * kv)
    stops = [count * size, (count + kv) * size, (count + 2 * kv) * size]
    parts = [Slice(x, (2,), (a,), (b,), (1,)) for a, b in zip([0, *stops[:2]], stops, strict=True)]
    return Heads(*(_apart(call, p, n) for p, n in zip(parts, (count, kv, kv), strict=True)))


def _rotated(call: Call, part: Node, *, interleaved: bool) -> Node:
    length = _static(part, 2)
    cos, sin = (Slice(call.x(i), (0,), (0,), (length,), (1,)) for i in (7, 8))
    tables = [Reshape(table, (1, *table.type.shape)) for table in (cos, sin)]
    turning = 2 * _static(cos, 1)
    return turned(part, tables[0], tables[1], turning, interleaved=interleaved)


def _of_prompt(call: Call, q: Node) -> Node:
    """No later places, none outside of the window, none behind the row's end."""
    length, window = _static(q, 2), call.integer("local_window_size", -1)
    back = np.arange(length)[:, None] - np.arange(length)[None]
    fixed = (back >= 0) & ((back < window) | (window < 0))
    last = Reshape(call.x(5), (*call.kind(5).shape[:1], 1, 1, 1))
    inside = LessOrEqual(const(np.arange(length), elem=last.type.elem), last)
    return And(inside, const(fixed))


def _apart(call: Call, x: Node, count: int) -> Node:
    """[batch, length, heads · size] as [batch, heads, length, size]."""
    if x.type.rank == 4:
        return x
    b, n, width = x.type.shape
    if not isinstance(width, int) or count < 1 or width % count:
        raise BadModel(f"{call}: {x.type} does not divide into {count} heads")
    return Transpose(Reshape(x, (b, n, count, width // count)), (0, 2, 1, 3))


def _mixed(call: Call, heads: Heads, *, mask: Node | None, bias: Node | None) -> Node:
    """With the number that these operators add to scores which a mask forbids."""
    if mask is not None:
        least = scalar(call.real("mask_filter_value", _FILTER), heads.q)
        own = Where(_reads(mask, heads), scalar(0.0, heads.q), least)
        bias = own if bias is None else Add(bias, own)
    allowed = _causal(heads) if call.flag("unidirectional") else None
    return _product(call, heads, allowed, bias)


def _reads(mask: Node, heads: Heads) -> Node:
    """Which keys a mask lets be read: [batch, 1, queries or 1, keys]."""
    b, total = heads.q.type.shape[0], _static(heads.k, 2)
    if mask.type.rank == 1:
        if mask.type.shape != (b,):
            raise Opaque("rows that begin later")
        ends = Reshape(mask, (b, 1, 1, 1))
        return Less(const(np.arange(total), elem=mask.type.elem), ends)
    if mask.type.shape[-1] != total or mask.type.rank > 3:
        raise Opaque("a mask of another length")
    lead = (mask.type.shape[0], 1, *(mask.type.shape[1:-1] or (1,)))
    whole = Reshape(mask, (*lead, total))
    return whole if whole.type.elem == BOOL else Cast(whole, BOOL)


def _causal(heads: Heads) -> Node:
    rows, columns = _static(heads.q, 2), _static(heads.k, 2)
    return const(np.tril(np.ones((rows, columns), np.bool_), columns - rows))


def _product(call: Call, heads: Heads, allowed: Node | None, bias: Node | None) -> Node:
    """softmax(cap(q·kᵀ·scale) + bias)·v as [batch, length, heads · size]."""
    q, k, v = heads.q, shared(heads.k, heads.q), shared(heads.v, heads.q)
    scale = call.real("scale", 0.0) or 1 / sqrt(_static(q, 3))
    scores: Node = MatMul(Mul(q, scalar(scale, q)), Transpose(k, (0, 1, 3, 2)))
    cap = call.real("softcap", 0.0)
    if cap > 0:
        scores = Mul(Tanh(Mul(scores, scalar(1 / cap, q))), scalar(cap, q))
    scores = scores if bias is None else Add(scores, bias)
    if allowed is not None:
        scores = Where(allowed, scores, scalar(_NEVER, q))
    y = MatMul(Softmax(scores, 3), v)
    b, count, n, size = y.type.shape
    return Reshape(Transpose(y, (0, 2, 1, 3)), (b, n, count * size))


def _static(x: Node, axis: int) -> int:
    found = x.type.shape[axis]
    if not isinstance(found, int):
        raise Opaque(f"an open length in {x.type}")
    return found


RUNTIME_ATTENTION: dict[str, Translator] = {
    "Attention": _attention,
    "GroupQueryAttention": _grouped_query,
    "MultiHeadAttention": _multi_head,
}
