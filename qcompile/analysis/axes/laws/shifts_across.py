"""What may be added to values that norms, softmax, reductions and pools read along other axes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from math import prod

from qcompile.analysis.axes.laws.law import Law, Port, frozen, kept, same, tied
from qcompile.analysis.axes.laws.norm import parameter_port
from qcompile.analysis.axes.laws.reduce import remaining
from qcompile.ir.node import Node
from qcompile.ir.ops.norm import BatchNorm, InstanceNorm, LayerNorm, LocalResponseNorm, RmsNorm
from qcompile.ir.ops.pool import AveragePool, MaxPool
from qcompile.ir.ops.reduce import (
    AlongAxis,
    Arg,
    ReduceL2,
    ReduceProd,
    ReduceSum,
    Reduction,
)
from qcompile.ir.ops.source import Const


def across_laws(node: Node) -> Iterator[Law] | None:
    """The laws of an operation that sees several indices of one axis; None for any other."""
    match node:
        case LayerNorm() | BatchNorm():
            return _normed(node)
        case RmsNorm() | LocalResponseNorm():
            return _stopped(node, (node, *node.operands), why=f"{node.op} adds nothing of its own")
        case InstanceNorm(x=x):
            return _unseen(node, x, tuple(range(2, x.type.rank)))
        case AlongAxis(x=x, axis=axis):
            return _unseen(node, x, (axis,))
        case Arg():
            return _arg(node)
        case Reduction():
            return _reduction(node)
        case MaxPool(x=x) | AveragePool(x=x):
            return _pool(node, x)
        case _:
            return None


def normed_output(node: Node) -> tuple[Port, ...]:
    """The axes of a norm's result along which a constant β adds."""
    match node:
        case LayerNorm(x=x, beta=Const() as beta):
            axes = range(node.axis, x.type.rank)
            return tuple(Port(node, i) for i in axes if parameter_port(beta, x, i) is not None)
        case BatchNorm(beta=Const()):
            return (Port(node, 1),)
        case _:
            return ()


def normed_input(node: Node) -> tuple[Port, ...]:
    """The axes of a norm's operand whose shift a constant mean takes up."""
    match node:
        case BatchNorm(x=x, mean=Const()):
            return (Port(x, 1),)
        case _:
            return ()


def _normed(node: LayerNorm | BatchNorm) -> Iterator[Law]:
    own, source = normed_output(node), normed_input(node)
    yield from (
        tied(None, (), port, why="").only_across(*(p for p in own if p is not port)) for port in own
    )
    yield from (tied(None, (), port, why="").only_across() for port in source)
    yield from _kept(node, own, why=f"{node.op} adds nothing along it")
    if isinstance(node, LayerNorm):
        yield from _before(node)
    else:
        yield from _kept(node.x, source, why="batch_norm has no mean that takes it up")
    yield from _stopped(node, node.operands[1:], why=f"it is a parameter of {node.op}")


def _before(node: LayerNorm) -> Iterator[Law]:
    """The mean takes out what is the same for all indices that it runs over."""
    x = node.x
    for i in range(x.type.rank):
        if i < node.axis:
            others = (Port(x, j) for j in range(node.axis) if j != i)
            yield tied(None, (), Port(x, i), why="").only_across(*others)
        else:
            yield kept(Port(x, i), why="layer_norm measures it")


def _unseen(node: Node, x: Node, axes: tuple[int, ...]) -> Iterator[Law]:
    """The result does not tell what is added to all indices of these axes alike."""
    beside = [i for i in range(x.type.rank) if i not in axes]
    for i in range(x.type.rank):
        if i in axes:
            yield kept(Port(x, i), why=f"{node.op} is taken of it")
        else:
            others = (Port(x, j) for j in beside if j != i)
            yield tied(None, (), Port(x, i), why="").only_across(*others)
    yield from _stopped(node, (node, *node.operands[1:]), why=f"{node.op} adds nothing of its own")


def _arg(node: Arg) -> Iterator[Law]:
    yield frozen(Port(node.x, node.axis), why=f"{node.op} gives its indices")
    sources = [port for _, port in remaining(node, node.x, (node.axis,), keepdims=node.keepdims)]
    for own in sources:
        others = (port for port in sources if port is not own)
        yield tied(None, (), own, why="").only_across(*others)


def _reduction(node: Reduction) -> Iterator[Law]:
    for axis in node.axes:
        yield kept(Port(node.x, axis), why=f"{node.op} runs over it")
    pairs = list(remaining(node, node.x, node.axes, keepdims=node.keepdims))
    factor = _factor(node)
    for own, source in pairs:
        if factor is None:
            yield kept(own, source, why=f"{node.op} is taken of each index apart")
        else:
            law = tied(None, ((1, -factor),), own, source, why="")
            yield law.only_across(*(other for other, _ in pairs if other is not own))


def _factor(node: Reduction) -> Fraction | None:
    """What the result is shifted by, of what the operand is; None where that is no one number."""
    match node:
        case ReduceSum():
            lengths = [node.x.type.shape[axis] for axis in node.axes]
            known = [length for length in lengths if isinstance(length, int)]
            return Fraction(prod(known)) if len(known) == len(lengths) else None
        case ReduceL2() | ReduceProd():
            return None
        case _:
            return Fraction(1)


def _pool(node: MaxPool | AveragePool, x: Node) -> Iterator[Law]:
    bordered = isinstance(node, AveragePool) and node.count_border and any(node.pads)
    for axis in (0, 1):
        own, source = Port(node, axis), Port(x, axis)
        if bordered:
            yield kept(own, source, why=f"{node.op} counts a border of zeros")
        else:
            yield same(own, source).only_across(Port(node, 1 - axis))
    for axis in range(2, x.type.rank):
        yield from (frozen(Port(v, axis), why=f"{node.op} mixes along it") for v in (node, x))


def _kept(value: Node, free: Iterable[Port], *, why: str) -> Iterator[Law]:
    done = set(free)
    ports = (Port(value, axis) for axis in range(value.type.rank))
    yield from (kept(port, why=why) for port in ports if port not in done)


def _stopped(node: Node, values: Iterable[Node], *, why: str) -> Iterator[Law]:
    for value in values:
        yield from _kept(value, (), why=why)
