"""What each operation can be in an integer program."""

from __future__ import annotations

from enum import Enum

from qcompile.ir.dims import is_static
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops import pointwise as p
from qcompile.ir.ops.binary import Add, Mul, Sub
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.pool import AveragePool, MaxPool
from qcompile.ir.ops.quant import FakeQuant, Observe
from qcompile.ir.ops.reduce import (
    ArgMax,
    ArgMin,
    ReduceMax,
    ReduceMean,
    ReduceMin,
    ReduceSum,
    Softmax,
)
from qcompile.ir.ops.resize import ResizeLinear, ResizeNearest
from qcompile.ir.ops.shape import Concat, Expand, Gather, Pad, Reshape, Slice, Transpose
from qcompile.ir.ops.source import Const, Input


class Role(Enum):
    """How an operation takes its operands and what it gives, in integers."""

    SOURCE = "a value from outside"
    ACCUMULATE = "8-bit operands to an i32 sum"
    ADD = "i32 operands of one unit to their sum"
    CLAMP = "bounds, fused into the requantize behind"
    TABLE = "any function of one 8-bit value"
    MOVE = "moves or compares values, keeps the unit"
    ORDER = "compares values of one unit"
    FLOAT = "no integer form"


_TABLES = (
    p.LeakyRelu, p.Elu, p.Celu, p.Selu, p.ThresholdedRelu, p.Shrink, p.HardSigmoid, p.HardSwish,
    p.Sigmoid, p.Silu, p.Tanh, p.Gelu, p.GeluTanh, p.Softplus, p.Softsign, p.Mish, p.Abs, p.Neg,
)  # fmt: skip
_MOVES = (Reshape, Transpose, Concat, Slice, MaxPool, ResizeNearest, Expand, ReduceMax, ReduceMin)


def role(node: Node) -> Role:
    """The integer role of a float operation."""
    match node:
        case Input() | Const():
            return Role.SOURCE
        case _ if not node.type.is_float and not isinstance(node, ArgMax | ArgMin):
            return Role.FLOAT
        case Conv(w=w) | ConvTranspose(w=w) if _constant(w) and _optional_constant(node.bias):
            return Role.ACCUMULATE
        case MatMul(bias=bias) if _optional_constant(bias):
            return Role.ACCUMULATE
        case AveragePool() | ReduceMean() | ReduceSum():
            return Role.ACCUMULATE
        case ResizeLinear(low=low) if len(low) <= 2:
            return Role.ACCUMULATE
        case Add() | Sub():
            return Role.TABLE if _scalar(node.b) else Role.ADD
        case Mul():
            return Role.TABLE if _scalar(node.b) else Role.ACCUMULATE
        case p.Relu() | p.Clip():
            return Role.CLAMP
        case Pad(mode="constant", value=value) if value != 0:
            return Role.FLOAT
        case Gather(indices=Const()):
            return Role.MOVE
        case ArgMax() | ArgMin() | Softmax():
            return Role.ORDER
        case Pad():
            return Role.MOVE
        case _ if isinstance(node, _TABLES):
            return Role.TABLE
        case _ if isinstance(node, _MOVES):
            return Role.MOVE
        case _:
            return Role.FLOAT


def activations(node: Node) -> tuple[Node, ...]:
    """The operands of an integer operation that are not its constants' business."""
    match node:
        case Conv(x=x) | ConvTranspose(x=x) | Gather(x=x):
            return (x,)
        case MatMul(a=a, b=b):
            return tuple(o for o in (a, b) if not _constant(o))
        case _:
            return tuple(o for o in node.operands if not _constant(o))


def weight(node: Node) -> tuple[Node, int] | None:
    """The constant weight of a contraction and the axis of its output channels."""
    match node:
        case Conv(w=w):
            return w, 0
        case ConvTranspose(w=w):
            return w, 1
        case MatMul(b=b) if _constant(b):
            return b, b.type.rank - 1
        case MatMul(a=a) if _constant(a):
            return a, -1
        case _:
            return None


def static_graph(graph: Graph) -> bool:
    """All shapes are numbers."""
    return all(is_static(node.type.shape) for node in graph.nodes)


def _constant(node: Node | None) -> bool:
    match node:
        case Const():
            return True
        case Observe(x=Const()) | FakeQuant(x=Const()):
            return True
        case _:
            return False


def _optional_constant(node: Node | None) -> bool:
    return node is None or _constant(node)


def _scalar(node: Node) -> bool:
    return (
        isinstance(node, Const) and node.data.nbytes <= 8 and all(d == 1 for d in node.type.shape)
    )
