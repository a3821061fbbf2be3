"""A product whose vectors are scaled at run time: integers between a division and a product.

    s = max(|x|, 2^-100) / hi          for each vector x that is summed over; |x| its greatest
    q = clip(round_half_even(x / s))   in integers of unit 1
    y = float(Σ q · w) · w's scale · s + bias

Each line is operations of the IR that every target has, the real ones single IEEE operations in
float32: equal x gives equal bits everywhere. In a product of two values both are scaled, and the
result is multiplied by the left one's scales first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add, Div, Mul
from qcompile.ir.ops.linear import MatMul
from qcompile.ir.ops.pointwise import Abs, Clip
from qcompile.ir.ops.quant import (
    LEAST_PEAK,
    ONE,
    Dequantize,
    FakeQuant,
    FakeQuantDynamic,
    Quantize,
)
from qcompile.ir.ops.reduce import ReduceMax
from qcompile.ir.ops.source import const
from qcompile.numerics.exact import INT32_MAX
from qcompile.passes.forms import Forms


@dataclass(frozen=True)
class Scaled:
    """`integers` · `scale`; None for a weight, which has its scales in its unit."""

    integers: Node
    scale: Node | None = None


def dynamic_product(node: MatMul, forms: Forms, found: dict[Node, Scaled]) -> Node | None:
    """The product in integers and its result in reals; None when the sum could pass 32 bits.

    `found` holds the operands that are scaled already, and takes those of this product.
    """
    sides = [_side(operand, forms, found) for operand in (node.a, node.b)]
    if any(side is None for side in sides):
        return None
    a, b = (side for side in sides if side is not None)
    total = MatMul(a.integers, b.integers, name=f"{node.name}.sum")
    if forms.bounds.magnitude(total) > INT32_MAX:
        return None
    value: Node = Dequantize(total)
    for side in (a, b):
        value = value if side.scale is None else Mul(value, side.scale)
    if node.bias is not None:
        value = Add(value, forms.real(node.bias))
    return value.replace(name=node.name)


def is_dynamic(node: Node) -> bool:
    """A product with an operand that is scaled at run time."""
    return isinstance(node, MatMul) and any(
        isinstance(operand, FakeQuantDynamic) for operand in (node.a, node.b)
    )


def _side(operand: Node, forms: Forms, found: dict[Node, Scaled]) -> Scaled | None:
    match operand:
        case FakeQuantDynamic():
            if operand not in found:
                found[operand] = _scaled(operand, forms.real(operand.x))
            return found[operand]
        case FakeQuant():
            form = forms.form(operand)
            return None if form is None else Scaled(form.integer)
        case _:
            return None


def _scaled(mark: FakeQuantDynamic, x: Node) -> Scaled:
    """The mark as operations: x divided by its vectors' scales and rounded."""
    greatest = const(np.array(mark.elem.hi, np.float32))
    peak = Clip(ReduceMax(Abs(x), axes=(mark.axis,), keepdims=True), lo=LEAST_PEAK, hi=math.inf)
    scale = Div(peak, greatest, name=f"{mark.name}.scale")
    return Scaled(Quantize(Div(x, scale), mark.elem, ONE, name=mark.name), scale)


def run_time_scales(graph: Graph) -> frozenset[Node]:
    """The scales of an integer graph's vectors: what values are divided by to become integers."""
    return frozenset(
        node.x.b
        for node in graph.nodes
        if isinstance(node, Quantize) and node.unit == ONE and isinstance(node.x, Div)
    )


def is_dynamic_result(node: Node) -> bool:
    """The real value of a product in an integer graph, named as the product was."""
    inner = node.a if isinstance(node, Add) else node
    while isinstance(inner, Mul):
        inner = inner.a
    match inner:
        case Dequantize(x=MatMul(name=name)):
            return name == f"{node.name}.sum"
        case _:
            return False
