"""Graphs that transform blocks of channels."""

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.hadamard import Hadamard
from qcompile.ir.ops.linear import Conv
from qcompile.ir.ops.source import Input
from qcompile.ir.types import f32
from tests.targets.cuda.value_cases import I16
from tests.targets.tvm.checks import given, graph_of, narrowed, weights


def transforms() -> Graph:
    ways = [
        ((3, 8), 1, 8), ((2, 64, 5, 3), 1, 64), ((2, 3, 48), 2, 16), ((5, 12), 1, 12),
        ((2, 512), 1, 512), ((2, 448), 1, 448), ((4, 6, 3), 0, 4),
    ]  # fmt: skip
    nodes: list[Node] = []
    for i, (shape, axis, size) in enumerate(ways):
        x = given(*shape).replace(name=f"x{i}")
        wide = given(*shape, elem=I16, zero=-300).replace(name=f"w{i}")
        nodes += [Hadamard(x, axis, size), narrowed(Hadamard(wide, axis, size, seed=i + 1))]
    turned = narrowed(Hadamard(given(1, 32, 6, 7).replace(name="c"), 1, 32, seed=1), zero=9)
    return graph_of(*nodes, narrowed(Conv(turned, weights(24, 32, 3, 3), pads=(1,) * 4)))


def float_transforms() -> Graph:
    x = Input(f32(3, 48), name="x")
    return graph_of(Hadamard(x, 1, 16, seed=2), Hadamard(x, 1, 48))
