"""ONNX models from graphs: float, integer-only, and with quantize/dequantize pairs."""

from qcompile.targets.onnx.emit import (
    emit_integer,
    emit_onnx,
    emit_qdq,
    emit_qdq_for_tensorrt,
    refusals,
    to_onnx,
)
from qcompile.targets.onnx.integer_only import floats_between
from qcompile.targets.onnx.names import value_names
from qcompile.targets.onnx.program import OnnxProgram

__all__ = [
    "OnnxProgram",
    "emit_integer",
    "emit_onnx",
    "emit_qdq",
    "emit_qdq_for_tensorrt",
    "floats_between",
    "refusals",
    "to_onnx",
    "value_names",
]
