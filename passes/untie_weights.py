"""A weight that several operations share → one of its own for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.shape import Gather, Transpose
from qcompile.ir.ops.source import Const
from qcompile.ir.rewrite import rewrite
from qcompile.passes.base import Meaning, Pass


@dataclass(frozen=True)
class UntieWeights(Pass):
    """Lets each reader of a shared weight have a change of its own; the array stays one till then.

    What the copies can cost is `extra_bytes`. Tied embeddings: a rotation of the stream acts on the
    table by T and on the head by T^-T with the norm's scale in it, which no one array can hold.
    """

    name: ClassVar[str] = "untie-weights"
    keeps: ClassVar[Meaning] = Meaning.EXACTLY

    def run(self, graph: Graph) -> Graph:
        """The first reader keeps the weight; the others get a node of their own."""
        owners = {weight: readers[0] for weight, readers in shared(graph)}

        def own(weight: Node, reader: Node) -> Node:
            tied = isinstance(weight, Const) and owners.get(weight, reader) is not reader
            return weight.replace() if tied else weight

        return rewrite(
            graph, lambda node, at: node.with_operands(own(o, at.was(node)) for o in node.operands)
        )


READERS = (MatMul, Conv, ConvTranspose, Gather, Transpose)


def shared(graph: Graph) -> Iterator[tuple[Const, tuple[Node, ...]]]:
    """The weights that several operations read, in graph order, and all of their readers."""
    for constant in graph.constants:
        readers = graph.users[constant]
        weighs = constant.type.is_float and constant.type.rank >= 2
        if weighs and len(readers) > 1 and any(isinstance(r, READERS) for r in readers):
            yield constant, readers


def extra_bytes(graph: Graph) -> int:
    """How many bytes of weights untying adds, once each copy has changed."""
    return sum(weight.data.nbytes * (len(readers) - 1) for weight, readers in shared(graph))
