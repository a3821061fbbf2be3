"""Cuts a graph into groups: one contraction, pool or reduction and the pointwise chain behind it.

A value is written to memory when it leaves the graph, when something that is not pointwise reads
it, or when more than one node does. All others exist only in registers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops import pointwise as p
from qcompile.ir.ops.binary import Binary, Prelu, Where
from qcompile.ir.ops.hadamard import Hadamard
from qcompile.ir.ops.integer import Lut, Requantize, SoftmaxInteger
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.norm import BatchNorm, InstanceNorm, LayerNorm, LocalResponseNorm, RmsNorm
from qcompile.ir.ops.pool import AveragePool, MaxPool
from qcompile.ir.ops.quant import Dequantize, FakeQuant, Quantize
from qcompile.ir.ops.reduce import (
    Arg,
    LogSoftmax,
    ReduceL2,
    ReduceLogSumExp,
    ReduceMax,
    ReduceMean,
    ReduceMin,
    ReduceProd,
    ReduceSum,
    Softmax,
)  # fmt: skip
from qcompile.ir.ops.resize import ResizeLinear
from qcompile.ir.ops.source import Const, Input
from qcompile.ir.types import F32

POINTWISE = (
    p.Unary, p.Cast, Binary, Prelu, Where, Requantize, Lut, Quantize, Dequantize, FakeQuant,
    BatchNorm,
)  # fmt: skip
ROWS = (
    SoftmaxInteger, Softmax, LogSoftmax, LayerNorm, RmsNorm, InstanceNorm, LocalResponseNorm,
    Arg, ReduceProd, ReduceL2, ReduceLogSumExp,
)  # fmt: skip
FOLDS = (ReduceSum, ReduceMean, ReduceMax, ReduceMin)
ROOTS = (
    Conv, ConvTranspose, MatMul, MaxPool, AveragePool, *FOLDS, ResizeLinear, Hadamard, *ROWS,
)  # fmt: skip


@dataclass(eq=False)
class Group:
    """What one step computes: `head` is written, `root` (if any) reduces, the rest is pointwise.

    `before`: functions of reals that the root reads through, the one next to it first.
    """

    head: Node
    root: Node | None = None
    members: set[Node] = field(default_factory=set[Node])
    before: list[p.Unary] = field(default_factory=list[p.Unary])

    def graph(self) -> Graph:
        """The group as a graph of its own: the law its kernel is tested against."""
        new: dict[Node, Node] = {}
        order = Graph("", (), (("", self.head),)).nodes
        inputs: list[Input] = []
        for node in order:
            if isinstance(node, Const):
                new[node] = node
            elif node in self.members:
                new[node] = node.with_operands(new[o] for o in node.operands)
            elif any(node in member.operands for member in self.members):
                new[node] = Input(node.type, name=node.name)
                inputs.append(new[node])  # type: ignore[arg-type]
        return Graph(self.head.name, tuple(inputs), ((self.head.name, new[self.head]),))

    @property
    def reads(self) -> tuple[Node, ...]:
        """The values from memory, constants left out, in a fixed order."""
        found: dict[Node, None] = {}
        for node in Graph("", (), (("", self.head),)).nodes:
            if node in self.members:
                outside = (o for o in node.operands if o not in self.members)
                found.update((o, None) for o in outside if not isinstance(o, Const))
        return tuple(found)


def groups(graph: Graph) -> tuple[Group, ...]:
    """The groups in order of execution; constants and inputs belong to none."""
    home: dict[Node, Group] = {}
    for node in reversed(graph.nodes):
        if isinstance(node, Const | Input):
            continue
        group = _joined(node, graph, home)
        if group is None:
            group = Group(node, node if not isinstance(node, POINTWISE) else None)
        elif not isinstance(node, POINTWISE):
            group.root = node
        group.members.add(node)
        if isinstance(node, p.Unary) and _feeds(node, graph, home):
            group.before.append(node)
        home[node] = group
    ordered: dict[Group, None] = {}
    heads = {id(g.head): g for g in home.values()}
    for node in graph.nodes:
        if id(node) in heads:
            ordered[heads[id(node)]] = None
    return tuple(ordered)


def _joined(node: Node, graph: Graph, home: dict[Node, Group]) -> Group | None:
    """The group of the one pointwise user that may take the node in.

    Quantized inputs and dequantized outputs stay apart: callers may deal in the integers.
    """
    if not graph.sole(node) or _enters(node, graph):
        return None
    (user,) = graph.users[node]
    if _feeds(node, graph, home):
        return home[user]
    if user in home[user].before:
        return None
    if not isinstance(user, POINTWISE) or user.type.shape != node.type.shape:
        return None
    if isinstance(user, Dequantize) and user in graph.results:
        return None
    if isinstance(node, POINTWISE):
        return home[user]
    takes = isinstance(node, ROOTS) and home[user].root is None
    return home[user] if takes else None


def _feeds(node: Node, graph: Graph, home: dict[Node, Group]) -> bool:
    """A function of reals that only a reduction reads, place by place."""
    if not isinstance(node, p.Unary) or not graph.sole(node) or node.type.elem != F32:
        return False
    (user,) = graph.users[node]
    return node.x.type.elem == F32 and (isinstance(user, FOLDS) or user in home[user].before)


def _enters(node: Node, graph: Graph) -> bool:
    """The only form in which an input is read."""
    return (
        isinstance(node, Quantize) and isinstance(node.x, Input) and graph.users[node.x] == (node,)
    )
