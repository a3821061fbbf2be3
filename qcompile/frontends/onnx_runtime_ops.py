"""onnxruntime's own operators (com.microsoft) that are a few standard ones together."""

from __future__ import annotations

import numpy as np

from qcompile.frontends.onnx_attention import rotary_of_runtime
from qcompile.frontends.onnx_blocked import BLOCKED
from qcompile.frontends.onnx_call import Call, Opaque, Translator, scalar
from qcompile.frontends.onnx_runtime_attention import RUNTIME_ATTENTION
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add, Mul
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.norm import LayerNorm, RmsNorm
from qcompile.ir.ops.pointwise import Cast, Gelu, GeluTanh, Sigmoid
from qcompile.ir.ops.reduce import ReduceSum
from qcompile.ir.ops.shape import Gather, Transpose
from qcompile.ir.ops.source import const
from qcompile.ir.types import Scalar


def _skip(call: Call, bias: Node | None) -> Node:
    """input + skip + bias."""
    if any(call.wanted[1:3]):
        raise Opaque("the statistics are used")
    total: Node = Add(call.x(0), call.x(1))
    return total if bias is None else Add(total, bias)


def _skip_layer_norm(call: Call) -> tuple[Node, ...]:
    total = _skip(call, call.maybe(4))
    axis, eps = total.type.rank - 1, call.real("epsilon", 1e-12)
    normal = LayerNorm(total, call.x(2), call.maybe(3), axis, eps)
    return normal, total, total, total


def _skip_rms_norm(call: Call) -> tuple[Node, ...]:
    total = _skip(call, call.maybe(3))
    normal = RmsNorm(total, call.x(2), total.type.rank - 1, call.real("epsilon", 1e-12))
    return normal, total, total, total


def _fast_gelu(call: Call) -> Node:
    bias = call.maybe(1)
    return GeluTanh(call.x() if bias is None else Add(call.x(), bias))


def _quick_gelu(call: Call) -> Node:
    x = call.x()
    return Mul(x, Sigmoid(Mul(x, scalar(call.real("alpha", 1.702), x))))


def _fused_matmul(call: Call) -> Node:
    """alpha · a @ b, either turned."""
    if call.flag("transBatchA") or call.flag("transBatchB"):
        raise Opaque("turns leading axes")
    a, b = call.x(0), call.x(1)
    if min(a.type.rank, b.type.rank) < 2:
        raise Opaque("multiplies vectors")
    a, b = (_turned(x) if call.flag(k) else x for x, k in ((a, "transA"), (b, "transB")))
    alpha = call.real("alpha", 1.0)
    return MatMul(a if alpha == 1 else Mul(a, scalar(alpha, a)), b)


def _turned(x: Node) -> Node:
    rank = x.type.rank
    return Transpose(x, (*range(rank - 2), rank - 1, rank - 2))


def _embed_layer_norm(call: Call) -> tuple[Node, ...]:
    """word[id] + place[0, 1, …] + segment[id], normalized; how many tokens a mask leaves."""
    ids, mask, places = call.x(0), call.maybe(7), call.maybe(8)
    length = ids.type.shape[1]
    if not isinstance(length, int) or (
        mask is not None and call.integer("mask_index_type", 1) != 1
    ):
        raise Opaque("open lengths, or another form of mask")
    own = const(np.arange(length)) if places is None else places
    total: Node = Add(Gather(call.x(2), ids, 0), Gather(call.x(3), own, 0))
    if call.maybe(1) is not None:
        total = Add(total, Gather(call.x(4), call.x(1), 0))
    eps = call.real("epsilon", 1e-12)
    normal = LayerNorm(total, call.x(5), call.maybe(6), total.type.rank - 1, eps)
    counted = const(np.zeros(1, np.int32))
    if mask is not None:
        counted = ReduceSum(Cast(mask, Scalar("i32")), (1,), keepdims=False)
    return normal, counted, total


RUNTIME: dict[str, Translator] = {
    **RUNTIME_ATTENTION,
    **BLOCKED,
    "EmbedLayerNormalization": _embed_layer_norm,
    "BiasGelu": lambda call: Gelu(Add(call.x(0), call.x(1))),
    "FastGelu": _fast_gelu,
    "FusedMatMul": _fused_matmul,
    "Gelu": lambda call: Gelu(call.x()),
    "QuickGelu": _quick_gelu,
    "RotaryEmbedding": rotary_of_runtime,
    "SkipLayerNormalization": _skip_layer_norm,
    "SkipSimplifiedLayerNormalization": _skip_rms_norm,
}
