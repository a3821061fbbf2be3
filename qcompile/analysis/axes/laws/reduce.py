"""Laws of reductions and pools."""

from __future__ import annotations

from collections.abc import Iterator

from qcompile.analysis.axes.laws.law import Group, Law, Port, frozen, homogeneous, kept, same, tied
from qcompile.ir.node import Node
from qcompile.ir.ops.pool import AveragePool, MaxPool
from qcompile.ir.ops.reduce import (
    Arg,
    ReduceL2,
    ReduceMax,
    ReduceMean,
    ReduceMin,
    ReduceSum,
    Reduction,
)


def reduction_laws(node: Node) -> Iterator[Law] | None:
    """The laws of a reduction or a pool; None for any other operation."""
    match node:
        case Reduction():
            return _reduction(node)
        case Arg():
            return _arg(node)
        case MaxPool(x=x) | AveragePool(x=x):
            return _pool(node, x)
        case _:
            return None


def _reduction(node: Reduction) -> Iterator[Law]:
    for axis in node.axes:
        port, why = Port(node.x, axis), f"{node.op} runs over it"
        if isinstance(node, ReduceL2):
            yield tied(Group.ORTHOGONAL, ((1,),), port, why="reduce_l2 keeps lengths only")
        else:
            yield kept(port, why=why)
    pairs = list(remaining(node, node.x, node.axes, keepdims=node.keepdims))
    for own, source in pairs:
        law = _beside(node, own, source)
        yield law.only_across(*(other for other, _ in pairs if other is not own))


def _beside(node: Reduction, own: Port, source: Port) -> Law:
    """The law of an axis that stays."""
    match node:
        case ReduceSum() | ReduceMean():
            return same(own, source)
        case ReduceMax() | ReduceMin() | ReduceL2():
            return homogeneous(own, source, why=f"{node.op} is taken of each index apart")
        case _:
            return kept(own, source, why=f"{node.op} is taken of each index apart")


def _arg(node: Arg) -> Iterator[Law]:
    yield frozen(Port(node.x, node.axis), why=f"{node.op} gives its indices")
    pairs = list(remaining(node, node.x, (node.axis,), keepdims=node.keepdims))
    for own, source in pairs:
        law = tied(Group.NONE, (), own, source, why=f"{node.op} is taken of each index apart")
        yield law.only_across(*(other for other, _ in pairs if other is not own))


def remaining(
    node: Node, x: Node, axes: tuple[int, ...], *, keepdims: bool
) -> Iterator[tuple[Port, Port]]:
    """The axes that are not reduced: the result's and the operand's."""
    left = [axis for axis in range(x.type.rank) if axis not in axes]
    for place, axis in enumerate(left):
        yield Port(node, axis if keepdims else place), Port(x, axis)


def _pool(node: MaxPool | AveragePool, x: Node) -> Iterator[Law]:
    for axis in (0, 1):
        own, source = Port(node, axis), Port(x, axis)
        law = same(own, source)
        if isinstance(node, MaxPool):
            law = homogeneous(own, source, why="max_pool is taken of each index apart")
        yield law.only_across(Port(node, 1 - axis))
    for axis in range(2, x.type.rank):
        yield from (frozen(Port(v, axis), why=f"{node.op} mixes along it") for v in (node, x))
