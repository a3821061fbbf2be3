"""Normalizations, softmax and attention."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np

from qcompile.frontends.aten_call import (
    Call,
    Family,
    Refusal,
    axis_of,
    cast,
    length,
    lengths,
    operand,
    reshape,
    swap,
    vector,
)
from qcompile.ir.dims import Dim
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add, Mul, Where
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.norm import BatchNorm, InstanceNorm, LayerNorm, RmsNorm
from qcompile.ir.ops.reduce import LogSoftmax, Softmax
from qcompile.ir.ops.shape import Expand
from qcompile.ir.ops.source import const
from qcompile.ir.types import BOOL, F64

_NEVER = -1e9  # a score whose e^x is 0


def _batch_norm(
    call: Call,
    x: Node,
    weight: Node | None,
    bias: Node | None,
    mean: Node | None,
    var: Node | None,
    training: bool,
    momentum: float,
    eps: float,
    *_: object,
) -> Node:
    if training or mean is None or var is None:
        raise Refusal("statistics of the batch: export the module after .eval()")
    channels = length(x, 1)
    gamma = vector(1, channels, x.type.elem) if weight is None else weight
    beta = vector(0, channels, x.type.elem) if bias is None else bias
    return BatchNorm(x, gamma, beta, mean, var, float(eps))


def _frozen_batch_norm(
    call: Call,
    x: Node,
    weight: Node | None,
    bias: Node | None,
    mean: Node,
    var: Node,
    momentum: float,
    eps: float,
) -> tuple[Node, None, None]:
    return _batch_norm(call, x, weight, bias, mean, var, False, momentum, eps), None, None


def _batch_norm_of_one(
    call: Call,
    x: Node,
    weight: Node | None,
    bias: Node | None,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Node, None, None]:
    """How the exporter spells an instance normalization: a batch of one."""
    if x.type.shape[0] != 1:
        raise Refusal("statistics of the batch: export the module after .eval()")
    return _instance_norm(call, x, weight, bias, None, None, True, momentum, eps), None, None


def _instance_norm(
    call: Call,
    x: Node,
    weight: Node | None,
    bias: Node | None,
    mean: Node | None,
    var: Node | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    *_: object,
) -> Node:
    if not use_input_stats:
        return _batch_norm(call, x, weight, bias, mean, var, False, momentum, eps)
    channels = length(x, 1)
    gamma = vector(1, channels, x.type.elem) if weight is None else weight
    beta = vector(0, channels, x.type.elem) if bias is None else bias
    return InstanceNorm(x, gamma, beta, float(eps))


def _group_norm(
    call: Call,
    x: Node,
    groups: int,
    weight: Node | None = None,
    bias: Node | None = None,
    eps: float = 1e-5,
    *_: object,
) -> Node:
    """Groups become the channels of an instance normalization; gamma and beta follow."""
    n, channels, *rest = x.type.shape
    spread = (channels, *(1,) * len(rest))
    inner: Dim = length(x, 1) // groups
    for d in rest:
        inner = d * inner
    ones, zeros = vector(1, groups, x.type.elem), vector(0, groups, x.type.elem)
    normal = InstanceNorm(reshape(x, (n, groups, inner)), ones, zeros, float(eps))
    y = reshape(normal, x.type.shape)
    if weight is not None:
        y = Mul(y, reshape(weight, spread))
    return y if bias is None else Add(y, reshape(bias, spread))


def _native_group_norm(
    call: Call,
    x: Node,
    weight: Node | None,
    bias: Node | None,
    n: Dim,
    c: Dim,
    places: Dim,
    groups: int,
    eps: float,
) -> tuple[Node, None, None]:
    return _group_norm(call, x, groups, weight, bias, eps), None, None


def _layer_norm(
    call: Call,
    x: Node,
    shape: Sequence[int],
    weight: Node | None = None,
    bias: Node | None = None,
    eps: float = 1e-5,
    *_: object,
) -> Node:
    return LayerNorm(x, weight, bias, axis=x.type.rank - len(shape), eps=float(eps))


def _native_layer_norm(
    call: Call,
    x: Node,
    shape: Sequence[int],
    weight: Node | None,
    bias: Node | None,
    eps: float,
) -> tuple[Node, None, None]:
    return _layer_norm(call, x, shape, weight, bias, eps), None, None


def _rms_norm(
    call: Call,
    x: Node,
    shape: Sequence[int],
    weight: Node | None = None,
    eps: float | None = None,
) -> Node:
    """Without eps it is the least step of the format that torch computes in, f32 or wider."""
    wide = np.float64 if x.type.elem == F64 else np.float32
    least = float(np.finfo(wide).eps) if eps is None else float(eps)
    return RmsNorm(x, weight, x.type.rank - len(shape), least)


def _softmax(call: Call, x: Node, dim: int, *_: object) -> Node:
    return Softmax(cast(x, call.elem), axis_of(x, dim))


def _log_softmax(call: Call, x: Node, dim: int, *_: object) -> Node:
    return LogSoftmax(cast(x, call.elem), axis_of(x, dim))


def _attention(
    call: Call,
    q: Node,
    k: Node,
    v: Node,
    mask: Node | None = None,
    dropout: float = 0.0,
    causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Node:
    """softmax(q·kᵀ·scale + mask)·v; a mask of truth values says which scores stay."""
    if dropout:
        raise Refusal("attention that drops out: export the module after .eval()")
    if enable_gqa:
        k, v = _as_many_heads(k, q), _as_many_heads(v, q)
    factor = 1 / sqrt(length(q, q.type.rank - 1)) if scale is None else scale
    scores: Node = MatMul(Mul(q, operand(factor, q.type.elem)), swap(k, -2, -1))
    if causal:
        rows, columns = lengths(scores.type.shape[-2:])
        mask = const(np.tril(np.ones((rows, columns), np.bool_)))
    if mask is not None and mask.type.elem == BOOL:
        scores = Where(mask, scores, operand(_NEVER, q.type.elem))
    elif mask is not None:
        scores = Add(scores, cast(mask, q.type.elem))
    return MatMul(Softmax(scores, scores.type.rank - 1), v)


def _as_many_heads(x: Node, like: Node) -> Node:
    """Each head of x as often as several heads of `like` share it."""
    heads, wanted = length(x, x.type.rank - 3), length(like, like.type.rank - 3)
    if heads == wanted:
        return x
    *lead, _, rows, columns = x.type.shape
    apart = reshape(x, (*lead, heads, 1, rows, columns))
    repeated = Expand(apart, (*lead, heads, wanted // heads, rows, columns))
    return reshape(repeated, (*lead, wanted, rows, columns))


def _flash_attention(
    call: Call,
    q: Node,
    k: Node,
    v: Node,
    dropout: float = 0.0,
    causal: bool = False,
    *,
    attn_mask: Node | None = None,
    scale: float | None = None,
) -> tuple[Node, None]:
    return _attention(call, q, k, v, attn_mask, dropout, causal, scale=scale), None


NORM: Family = {
    "batch_norm": _batch_norm,
    "_native_batch_norm_legit_no_training": _frozen_batch_norm,
    "_native_batch_norm_legit.no_stats": _batch_norm_of_one,
    "instance_norm": _instance_norm,
    "group_norm": _group_norm,
    "native_group_norm": _native_group_norm,
    "layer_norm": _layer_norm,
    "native_layer_norm": _native_layer_norm,
    "rms_norm": _rms_norm,
    "softmax.int": _softmax,
    "_softmax": _softmax,
    "_safe_softmax": _softmax,
    "log_softmax.int": _log_softmax,
    "_log_softmax": _log_softmax,
    "scaled_dot_product_attention": _attention,
    "_scaled_dot_product_flash_attention_for_cpu": _flash_attention,
}
