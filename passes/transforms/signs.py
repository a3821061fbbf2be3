"""The signs of a transform at run time go into the constants of what computes its operand.

(x·diag(ε))·H needs no operation for ε where −x is to be had for nothing: negating a weight's
columns negates what they give, to the bit. Scales cannot tell: they are positive throughout.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qcompile.ir.blob import Blob, blob, spilled_blob
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Mul
from qcompile.ir.ops.hadamard import Hadamard
from qcompile.ir.ops.linear import Conv, MatMul
from qcompile.ir.ops.norm import RmsNorm
from qcompile.ir.ops.shape import Transpose
from qcompile.ir.ops.source import Const
from qcompile.ir.rewrite import Site, rewrite
from qcompile.ir.types import Array
from qcompile.numerics.rotations import signs
from qcompile.passes.weights import IN_MEMORY

Signs = NDArray[np.int8]


def fold_signs(graph: Graph) -> Graph:
    """The same function, to the bit; itself where every transform needs its signs at run time.

    They move where the operand is read by the transform alone and is a product with a constant, or
    that times something: queries turned by their positions are not.
    """

    def fold(node: Node, at: Site) -> Node | None:
        if not isinstance(node, Hadamard) or not node.seed or node.type.unit is not None:
            return None
        length = node.type.shape[node.axis]
        if not isinstance(length, int):
            return None
        turned = np.tile(signs(node.size, node.seed), length // node.size)
        found = _negated(node.x, node.axis, turned, at)
        return None if found is None else node.replace(x=found, seed=0)

    return rewrite(graph, fold)


def _negated(value: Node, axis: int, by: Signs, at: Site) -> Node | None:
    """The value with some of its indices along the axis negated; None where that costs anything."""
    if not at.sole(value) or not value.type.is_float:
        return None
    last = value.type.rank - 1
    match value:
        case MatMul(b=Const() as w, bias=Const() | None as bias) if axis == last:
            return value.replace(b=_times(w, w.type.rank - 1, by), bias=_vector(bias, by))
        case Conv(w=Const() as w, bias=Const() | None as bias) if axis == 1:
            return value.replace(w=_times(w, 0, by), bias=_vector(bias, by))
        case RmsNorm(scale=Const() as scale) if axis == last and scale.type.rank == 1:
            return value.replace(scale=_times(scale, 0, by))
        case Transpose(x=x, perm=perm):
            found = _negated(x, perm[axis], by, at)
            return None if found is None else value.replace(x=found)
        case Mul(a=a, b=b):
            return _one_factor(value, a, b, axis, by, at)
        case _:
            return None


def _one_factor(value: Mul, a: Node, b: Node, axis: int, by: Signs, at: Site) -> Node | None:
    for factor in (a, b):
        if factor.type.shape != value.type.shape:
            continue
        found = _negated(factor, axis, by, at)
        if found is not None:
            return value.replace(a=found) if factor is a else value.replace(b=found)
    return None


def _vector(bias: Const | None, by: Signs) -> Const | None:
    return None if bias is None else _times(bias, bias.type.rank - 1, by)


def _times(constant: Const, axis: int, by: Signs) -> Const:
    """Negated along an axis, when asked for; exactly."""
    source, ones = constant.data, (1,) * (constant.type.rank - 1 - axis)

    def load() -> Array:
        return source.array() * by.reshape(-1, *ones).astype(source.dtype)

    lazy = Blob(source.shape, source.dtype, load)
    data = blob(load()) if lazy.nbytes <= IN_MEMORY else spilled_blob(lazy)
    return Const(data, constant.elem, name=constant.name)
