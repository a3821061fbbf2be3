"""Where reals become integers and back: the first quantize and the last dequantize."""

from __future__ import annotations

from dataclasses import dataclass

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.quant import Dequantize, Quantize
from qcompile.ir.ops.source import Input
from qcompile.ir.types import TensorType


@dataclass(frozen=True)
class Borders:
    """Per input the type it is read in (its own when it stays real); outputs undequantized."""

    inputs: tuple[tuple[str, TensorType], ...]
    outputs: tuple[tuple[str, Node], ...]


def borders(graph: Graph) -> Borders:
    """The integer sides of a graph's inputs and outputs."""
    inputs = tuple((node.name, _read_as(node, graph)) for node in graph.inputs)
    outputs = tuple(
        (name, node.x if isinstance(node, Dequantize) else node) for name, node in graph.outputs
    )
    return Borders(inputs, outputs)


def _read_as(node: Input, graph: Graph) -> TensorType:
    kinds = {user.type for user in graph.users[node] if isinstance(user, Quantize)}
    whole = all(isinstance(user, Quantize) for user in graph.users[node])
    return kinds.pop() if whole and len(kinds) == 1 and node not in graph.results else node.type


def expose_integers(graph: Graph) -> Graph:
    """The integer core: inputs and outputs are integers with units wherever the border allows."""
    split = borders(graph)
    fresh: dict[Node, Node] = {}
    for node, (name, kind) in zip(graph.inputs, split.inputs, strict=True):
        fresh[node] = node if kind == node.type else Input(kind, name=name)
    for node in graph.nodes:
        if node in fresh:
            continue
        if isinstance(node, Quantize) and fresh[node.x] is not node.x and node.x in graph.inputs:
            fresh[node] = fresh[node.x]
            continue
        fresh[node] = node.with_operands(fresh[o] for o in node.operands)
    inputs = tuple(n for n in (fresh[i] for i in graph.inputs) if isinstance(n, Input))
    return Graph(graph.name, inputs, tuple((name, fresh[n]) for name, n in split.outputs))
