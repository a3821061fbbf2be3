"""onnxruntime's own operators (com.microsoft) that are a few standard ones together."""

from __future__ import annotations

from qcompile.frontends.onnx_attention import rotary_of_runtime
from qcompile.frontends.onnx_call import Call, Opaque, Translator, scalar
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add, Mul
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.norm import LayerNorm, RmsNorm
from qcompile.ir.ops.pointwise import Gelu, GeluTanh, Sigmoid
from qcompile.ir.ops.shape import Transpose


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


RUNTIME: dict[str, Translator] = {
    "BiasGelu": lambda call: Gelu(Add(call.x(0), call.x(1))),
    "FastGelu": _fast_gelu,
    "FusedMatMul": _fused_matmul,
    "Gelu": lambda call: Gelu(call.x()),
    "QuickGelu": _quick_gelu,
    "RotaryEmbedding": rotary_of_runtime,
    "SkipLayerNormalization": _skip_layer_norm,
    "SkipSimplifiedLayerNormalization": _skip_rms_norm,
}
