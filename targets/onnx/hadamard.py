"""The Hadamard transform: for each Kronecker factor of its matrix one MatMul, of int32 or reals."""

from __future__ import annotations

from math import prod, sqrt

import numpy as np

from qcompile.ir.ops.hadamard import Hadamard
from qcompile.numerics.hadamard import hadamard, kronecker_factors
from qcompile.numerics.rotations import signs
from qcompile.targets.onnx.bytes8 import sizes
from qcompile.targets.onnx.model import Writer
from qcompile.targets.onnx.pointwise import centred


def transform(w: Writer, node: Hadamard) -> None:
    """Hᵀ of each factor times [blocks, order, what lies behind]; the last factor first."""
    shape = sizes(node.type)
    behind = shape[node.axis + 1 :]
    real = node.type.unit is None
    kind = node.type.elem.storage if real else np.dtype(np.int32)
    x = w.value(node.x) if real else centred(w, node.x)
    if node.seed:
        turned = np.tile(signs(node.size, node.seed), shape[node.axis] // node.size)
        x = w.op("Mul", [x, w.constant(turned.reshape(-1, *(1,) * len(behind)), kind)])
    run = prod(behind)
    for order in reversed(kronecker_factors(node.size)):
        matrix = hadamard(order)
        assert matrix is not None
        x = w.op("Reshape", [x, w.constant((-1, order, run), np.int64)])
        x = w.op("MatMul", [w.constant(matrix.T, kind), x])
        run *= order
    if real:
        x = w.op("Mul", [x, w.constant(1 / sqrt(node.size), kind)])
    w.op("Reshape", [x, w.constant(shape, np.int64)], out=w.names[node])
