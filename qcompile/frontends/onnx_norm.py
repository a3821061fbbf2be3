"""Normalizations."""

from __future__ import annotations

import numpy as np

from qcompile.frontends.onnx_call import Call, Opaque, Translator, axis_of, scalar
from qcompile.ir.dims import Dim, size
from qcompile.ir.node import Node
from qcompile.ir.ops import norm as n
from qcompile.ir.ops.binary import Add, Div, Mul, Sub
from qcompile.ir.ops.pointwise import Cast, Reciprocal, Sqrt
from qcompile.ir.ops.reduce import ReduceMean
from qcompile.ir.ops.shape import Reshape
from qcompile.ir.ops.source import const


def _batch(call: Call) -> Node:
    """With frozen statistics; a training-mode node stays foreign."""
    training = call.flag("training_mode") if call.opset >= 14 else len(call.node.output) > 1
    if training or any(call.wanted[1:]):
        raise Opaque("updates its statistics")
    if call.opset < 9 and not call.flag("spatial", default=True):
        raise Opaque("has statistics for each place")
    x, gamma, beta, mean, var = (call.x(i) for i in range(5))
    return n.BatchNorm(x, gamma, beta, mean, var, call.real("epsilon", 1e-5))


def _instance(call: Call) -> Node:
    return n.InstanceNorm(call.x(0), call.x(1), call.x(2), call.real("epsilon", 1e-5))


def _layer(call: Call) -> tuple[Node, ...]:
    x, gamma = call.x(0), call.x(1)
    axis = axis_of(call, call.integer("axis", -1), x.type.rank)
    eps = call.real("epsilon", 1e-5)
    normal = n.LayerNorm(x, gamma, call.maybe(2), axis, eps)
    if not any(call.wanted[1:]):
        return (normal,)
    axes = tuple(range(axis, x.type.rank))
    mean = ReduceMean(x, axes)
    centred = Sub(x, mean)
    variance = ReduceMean(Mul(centred, centred), axes)
    return normal, mean, Reciprocal(Sqrt(Add(variance, scalar(eps, x))))


def _local_response(call: Call) -> Node:
    alpha, beta = call.real("alpha", 1e-4), call.real("beta", 0.75)
    size_ = call.integer("size")
    return n.LocalResponseNorm(call.x(), size_, alpha, beta, call.real("bias", 1.0))


def _rms(call: Call) -> Node:
    """scale · x / √(mean(x²) + eps); x and the scale may be of two formats."""
    x, scale = call.x(0), call.x(1)
    if any(call.wanted[1:]):
        raise Opaque("the deviation is used")
    axis = axis_of(call, call.integer("axis", -1), x.type.rank)
    eps = call.real("epsilon", 1e-5)
    if x.type.elem == scale.type.elem:
        return n.RmsNorm(x, scale, axis, eps)
    return Mul(Cast(n.RmsNorm(x, None, axis, eps), scale.type.elem), scale)


def _group(call: Call) -> Node:
    """InstanceNorm over [n, groups, rest]; scales per group before opset 21, per channel since."""
    x, gamma, beta = call.x(0), call.x(1), call.x(2)
    groups, channels = call.integer("num_groups"), x.type.shape[1]
    if not isinstance(channels, int) or channels % groups or call.opset < 21:
        raise Opaque(f"{channels} channels in {groups} groups")
    rest: tuple[Dim, ...] = x.type.shape[2:]
    flat = Reshape(x, (x.type.shape[0], groups, channels // groups * size(rest)))
    one, zero = (_filled(groups, v, x) for v in (1.0, 0.0))
    normal = Reshape(n.InstanceNorm(flat, one, zero, call.real("epsilon", 1e-5)), x.type.shape)
    spread = (channels, *(1,) * len(rest))
    return Add(Mul(normal, Reshape(gamma, spread)), Reshape(beta, spread))


def _mean_variance(call: Call) -> Node:
    """(x − mean) / (deviation + 1e-9)."""
    x = call.x()
    rank = x.type.rank
    axes = tuple(sorted({axis_of(call, a, rank) for a in call.integers("axes", (0, 2, 3))}))
    centred = Sub(x, ReduceMean(x, axes))
    deviation = Sqrt(ReduceMean(Mul(centred, centred), axes))
    return Div(centred, Add(deviation, scalar(1e-9, x)))


def _filled(count: int, value: float, like: Node) -> Node:
    return const(np.full(count, value), elem=like.type.elem)


NORM: dict[str, Translator] = {
    "BatchNormalization": _batch,
    "InstanceNormalization": _instance,
    "LayerNormalization": _layer,
    "LRN": _local_response,
    "RMSNormalization": _rms,
    "SimplifiedLayerNormalization": _rms,  # onnxruntime's, in the standard domain
    "GroupNormalization": _group,
    "MeanVarianceNormalization": _mean_variance,
}
