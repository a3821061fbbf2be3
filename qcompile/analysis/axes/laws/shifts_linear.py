"""What may be added to operands and results of contractions: biases take it up.

(x − z) W + (b + z W): exact where every sum reads all of z, so not where a border of zeros is read
(algorithms of OS+, arXiv 2304.09145, section 4.1).
"""

from __future__ import annotations

from collections.abc import Iterator

from qcompile.analysis.axes.laws.law import Law, Port, kept, same, tied
from qcompile.ir.node import Node
from qcompile.ir.ops.hadamard import Hadamard
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.pointwise import Cast
from qcompile.ir.ops.reduce import Softmax
from qcompile.ir.ops.shape import Expand, Reshape
from qcompile.ir.ops.source import Const

BORDER = "reads zeros beyond the border, which no shift reaches"


def linear_shifts(node: Node) -> Iterator[Law] | None:
    """The laws of a contraction; None for any other operation."""
    match node:
        case MatMul(a=a, b=b, bias=None) if not isinstance(b, Const) and sums_to_one(a):
            return _average(node)
        case MatMul() | Conv() | ConvTranspose() | Hadamard():
            return _biased(node)
        case _:
            return None


def shifted_input(node: Node) -> Port | None:
    """The axis whose shift the node's bias takes up; None where it cannot."""
    match node:
        case MatMul(a=a, b=Const() as b) if b.type.rank == 2 and takes_bias(node):
            return Port(a, a.type.rank - 1)
        case Conv(x=x, pads=pads) if takes_bias(node) and not any(pads):
            return Port(x, 1)
        case _:
            return None


def shifted_output(node: Node) -> Port | None:
    """The axis of the result along which the bias adds; None where there can be none."""
    match node:
        case MatMul() if takes_bias(node):
            return Port(node, node.type.rank - 1)
        case Conv() | ConvTranspose() if takes_bias(node):
            return Port(node, 1)
        case _:
            return None


def takes_bias(node: MatMul | Conv | ConvTranspose) -> bool:
    """Its weight is a constant, and its bias another one or none."""
    w = node.b if isinstance(node, MatMul) else node.w
    return isinstance(w, Const) and isinstance(node.bias, Const | None)


def sums_to_one(value: Node) -> bool:
    """Every row along the last axis does: a softmax, behind moves that keep that axis whole."""
    match value:
        case Softmax(x=x, axis=axis):
            return axis == x.type.rank - 1
        case Cast(x=x):
            return value.type.is_float and sums_to_one(x)
        case Reshape(x=x) | Expand(x=x):
            return x.type.shape[-1:] == value.type.shape[-1:] and sums_to_one(x)
        case _:
            return False


def _biased(node: MatMul | Conv | ConvTranspose | Hadamard) -> Iterator[Law]:
    free = [port for port in (shifted_output(node), shifted_input(node)) if port is not None]
    yield from (tied(None, (), port, why="").only_across() for port in free)
    for value in (node, *node.operands):
        for axis in range(value.type.rank):
            port = Port(value, axis)
            if port not in free:
                yield kept(port, why=_reason(node, port))


def _reason(node: Node, port: Port) -> str:
    if isinstance(node, Conv) and port == Port(node.x, 1) and any(node.pads):
        return f"{node.op} {BORDER}"
    return f"{node.op} has no bias that takes it up"


def _average(node: MatMul) -> Iterator[Law]:
    """P V with rows of P that sum to 1: P (V − z) = P V − z."""
    b, rank = node.b, node.type.rank
    batch = [Port(node, i) for i in range(rank - 2)]
    yield same(Port(node, rank - 1), Port(b, b.type.rank - 1)).only_across(*batch)
    for port in (*batch, Port(node, rank - 2)):
        behind = rank - port.axis
        sides = [Port(o, o.type.rank - behind) for o in (node.a, b) if o.type.rank >= behind]
        own = [side for side in sides if side.size != 1 and behind > 2]
        yield kept(port, *own, why="mat_mul mixes rows")
    yield kept(Port(node.a, node.a.type.rank - 2), why="mat_mul mixes rows")
    yield kept(Port(node.a, node.a.type.rank - 1), why="mat_mul mixes rows")
    yield kept(Port(b, b.type.rank - 2), why="mat_mul mixes rows")
