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
