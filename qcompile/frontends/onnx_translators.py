"""Which function reads which ONNX operator. Anything else stays foreign."""

from __future__ import annotations

import onnx

from qcompile.frontends.onnx_attention import ATTENTION
from qcompile.frontends.onnx_binary import BINARY
from qcompile.frontends.onnx_call import Translator
from qcompile.frontends.onnx_choose import CHOOSE
from qcompile.frontends.onnx_einsum import EINSUM
from qcompile.frontends.onnx_gather import GATHER
from qcompile.frontends.onnx_linear import LINEAR
from qcompile.frontends.onnx_norm import NORM
from qcompile.frontends.onnx_pointwise import POINTWISE
from qcompile.frontends.onnx_qlinear import QLINEAR
from qcompile.frontends.onnx_quant import QUANT
from qcompile.frontends.onnx_reduce import REDUCE
from qcompile.frontends.onnx_resize import RESIZE
from qcompile.frontends.onnx_running import RUNNING
from qcompile.frontends.onnx_runtime_ops import RUNTIME
from qcompile.frontends.onnx_shape import SHAPE
from qcompile.frontends.onnx_slice import SLICE
from qcompile.frontends.onnx_source import SOURCE
from qcompile.frontends.onnx_window import WINDOW

TRANSLATORS: dict[str, Translator] = {
    **SOURCE,
    **LINEAR,
    **POINTWISE,
    **BINARY,
    **SHAPE,
    **SLICE,
    **GATHER,
    **CHOOSE,
    **REDUCE,
    **NORM,
    **WINDOW,
    **RESIZE,
    **QUANT,
    **QLINEAR,
    **ATTENTION,
    **EINSUM,
    **RUNNING,
}


def translator(node: onnx.NodeProto) -> Translator | None:
    """The function that reads this node; None when it stays foreign."""
    match node.domain:
        case "" | "ai.onnx":
            return TRANSLATORS.get(node.op_type)
        case "com.microsoft":
            return RUNTIME.get(node.op_type)
        case _:
            return None
