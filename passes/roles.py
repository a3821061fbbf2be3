"""What each operation can be in an integer program."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

import numpy as np

from qcompile.ir.node import Node
from qcompile.ir.ops import pointwise as p
from qcompile.ir.ops.binary import Add, Minimum, Mul, Sub
from qcompile.ir.ops.hadamard import Hadamard
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
from qcompile.ir.types import F32


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
_ALWAYS: Mapping[type[Node], Role] = {
    Input: Role.SOURCE,
    Const: Role.SOURCE,
    AveragePool: Role.ACCUMULATE,
    Hadamard: Role.ACCUMULATE,
    ReduceMean: Role.ACCUMULATE,
    ReduceSum: Role.ACCUMULATE,
    p.Relu: Role.CLAMP,
    p.Clip: Role.CLAMP,
    ArgMax: Role.ORDER,
    ArgMin: Role.ORDER,
    Softmax: Role.ORDER,
    **dict.fromkeys(_TABLES, Role.TABLE),
    **dict.fromkeys(_MOVES, Role.MOVE),
}


def role(node: Node) -> Role:
    """The integer role of a float operation; reals of other widths than 32 bits stay reals."""
    if not (node.type.elem == F32 or isinstance(node, Input | Const | ArgMax | ArgMin)):
        return Role.FLOAT
    return _ALWAYS[type(node)] if type(node) in _ALWAYS else _by_operands(node)


def _by_operands(node: Node) -> Role:
    """The role of an operation that depends on which of its operands are constants."""
    match node:
        case Conv(w=w) | ConvTranspose(w=w) if _constant(w) and _optional_constant(node.bias):
            return Role.ACCUMULATE
        case MatMul(bias=bias) if _optional_constant(bias):
            return Role.ACCUMULATE
        case ResizeLinear(low=low) if len(low) <= 2:
            return Role.ACCUMULATE
        case Add() | Sub():
            return Role.TABLE if _scalar(node.b) else Role.ADD
        case Mul():
            return Role.TABLE if _scalar(node.b) else Role.ACCUMULATE
        case Minimum() if _holds(node):
            return Role.CLAMP
        case Pad() | Gather() if _moves(node):
            return Role.MOVE
        case _:
            return Role.FLOAT


def _holds(node: Minimum) -> bool:
    """Its second operand is a finite constant that spreads over the first: a bound for each."""
    match node.b:
        case Const() as b:
            return node.type.shape == node.a.type.shape and bool(np.isfinite(b.array).all())
        case _:
            return False


def _moves(node: Pad | Gather) -> bool:
    match node:
        case Pad(mode=mode, value=value):
            return mode != "constant" or value == 0
        case Gather(indices=indices):
            return isinstance(indices, Const)


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
