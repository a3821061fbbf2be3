"""conv · batchnorm → conv, and batchnorm · conv → conv."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from qcompile.ir.dims import static
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.norm import BatchNorm
from qcompile.ir.ops.pool import MaxPool
from qcompile.ir.ops.source import Const, const
from qcompile.ir.rewrite import Site, first_of, until_same
from qcompile.passes.base import Meaning, Pass
from qcompile.passes.invariants import CANONICAL, FUSED
from qcompile.passes.weights import scaled

Values = NDArray[Any]


@dataclass(frozen=True)
class FoldBatchNorm(Pass):
    """Folds each batchnorm into the contraction before it, else the one behind it.

    What can be folded into neither becomes a depthwise 1x1 convolution, whose one weight per
    channel is exact at any width. Formula: HAWQ-V3 (arXiv 2011.10680), section 1.2 of its code:
    w' = w·γ/√(σ²+ε), b' = (b − μ)·γ/√(σ²+ε) + β.
    """

    name: ClassVar[str] = "fold-batchnorm"
    requires = frozenset({CANONICAL})
    gives = frozenset({FUSED})
    keeps: ClassVar[Meaning] = Meaning.CLOSELY

    def run(self, graph: Graph) -> Graph:
        """Backwards and forwards first; what is left becomes depthwise."""
        graph = until_same(graph, first_of(_into_producer, _into_consumer))
        return until_same(graph, _as_depthwise)


def affine(node: BatchNorm) -> tuple[Values, Values] | None:
    """(scale, shift) per channel, in float64, when all four parameters are constants."""
    parameters = [p for p in node.operands[1:] if isinstance(p, Const)]
    if len(parameters) != 4:
        return None
    gamma, beta, mean, var = (np.asarray(p.array, np.float64) for p in parameters)
    scale = gamma / np.sqrt(var + node.eps)
    return scale, beta - mean * scale


def _into_producer(node: Node, site: Site) -> Node | None:
    match node:
        case BatchNorm(x=Conv(w=Const() as w, bias=Const() | None as bias) as conv):
            axis = 0
        case BatchNorm(
            x=ConvTranspose(w=Const() as w, bias=Const() | None as bias, groups=1) as conv
        ):
            axis = 1
        case BatchNorm(x=MatMul(b=Const() as w, bias=Const() | None as bias) as conv):
            if node.type.rank != 2 or w.type.rank != 2:
                return None
            return _fold_matmul(node, conv, w, bias, site)
        case _:
            return None
    numbers = affine(node)
    if numbers is None or not site.sole(conv):
        return None
    scale, shift = numbers
    old = 0.0 if bias is None else bias.array.astype(np.float64)
    return conv.replace(
        w=scaled(w, scale, axis=axis),
        bias=const((old * scale + shift).astype(w.type.elem.storage), name=_bias_name(conv)),
        name=node.name,
    )


def _fold_matmul(
    node: BatchNorm, product: MatMul, w: Const, bias: Const | None, site: Site
) -> Node | None:
    numbers = affine(node)
    if numbers is None or not site.sole(product):
        return None
    scale, shift = numbers
    old = 0.0 if bias is None else bias.array.astype(np.float64)
    total = const((old * scale + shift).astype(w.type.elem.storage), name=_bias_name(product))
    return product.replace(b=scaled(w, scale, axis=1), bias=total, name=node.name)


def _into_consumer(node: Node, site: Site) -> Node | None:
    """A batchnorm behind a ReLU goes into the next convolution, if that has no border.

    Between the two may lie a max pool when every scale is positive (order is kept).
    """
    match node:
        case Conv(x=BatchNorm() as norm, w=Const() as w, bias=Const() | None as bias):
            pool = None
        case Conv(
            x=MaxPool(x=BatchNorm() as norm) as pool, w=Const() as w, bias=Const() | None as bias
        ):
            pass
        case _:
            return None
    numbers = affine(norm)
    if numbers is None or not site.sole(norm) or (pool is not None and not site.sole(pool)):
        return None
    scale, shift = numbers
    if any(node.pads) and np.any(shift != 0):
        return None
    if pool is not None and np.any(scale <= 0):
        return None
    source = norm.x if pool is None else pool.replace(x=norm.x)
    return _fold_forward(node, source, w, bias, scale, shift)


def _fold_forward(
    node: Conv, source: Node, w: Const, bias: Const | None, scale: Values, shift: Values
) -> Node:
    per_group = static(w.type.shape)[1]
    channels = np.arange(static(w.type.shape)[0]) // (static(w.type.shape)[0] // node.groups)
    column = channels[:, None] * per_group + np.arange(per_group)[None]
    taps = np.asarray(w.array, np.float64).reshape(*w.type.shape[:2], -1).sum(2)
    gain = (taps * shift[column]).sum(1)
    old = 0.0 if bias is None else bias.array.astype(np.float64)
    kind = w.type.elem.storage
    factor = scale[column].reshape(*column.shape, *(1,) * (w.type.rank - 2))
    return node.replace(
        x=source,
        w=scaled(w, factor, axis=None),
        bias=const((old + gain).astype(kind), name=_bias_name(node)),
    )


def _as_depthwise(node: Node, site: Site) -> Node | None:
    match node:
        case BatchNorm(x=x) if x.type.rank >= 3 and isinstance(x.type.shape[1], int):
            numbers = affine(node)
        case _:
            return None
    if numbers is None:
        return None
    scale, shift = numbers
    kind, spatial = x.type.elem.storage, x.type.rank - 2
    w = const(scale.astype(kind).reshape(-1, 1, *(1,) * spatial), name=f"{node.name}.weight")
    b = const(shift.astype(kind), name=f"{node.name}.bias")
    ones, zeros = (1,) * spatial, (0,) * (2 * spatial)
    return Conv(x, w, b, ones, zeros, ones, len(scale), name=node.name)


def _bias_name(node: Node) -> str:
    return f"{node.name}.bias" if node.name else ""
