"""The named properties that passes require and give."""

from __future__ import annotations

from collections.abc import Iterator

from qcompile.ir.dims import is_static
from qcompile.ir.graph import Graph
from qcompile.ir.invariant import Invariant
from qcompile.ir.node import Node
from qcompile.ir.ops.norm import BatchNorm
from qcompile.ir.ops.quant import FakeQuant, FakeQuantDynamic, Observe


def _open_dimensions(graph: Graph) -> Iterator[str]:
    for node in graph.nodes:
        if not is_static(node.type.shape):
            yield f"{node.name or node.op} has open dimensions: {node.type}"


def _of_class(*classes: type[Node]) -> Invariant:
    names = " or ".join(c.__name__ for c in classes)

    def offences(graph: Graph) -> Iterator[str]:
        for node in graph.nodes:
            if isinstance(node, classes):
                yield f"{node.name or node.op} is a {node.op}"

    return Invariant(f"free of {names}", offences)


def _nothing(graph: Graph) -> Iterator[str]:
    return iter(())


STATIC = Invariant("static", _open_dimensions)
CANONICAL = Invariant("canonical", _nothing)
FUSED = Invariant("fused", _of_class(BatchNorm).offences)
SPECIFIED = Invariant("specified", _nothing)
CALIBRATED = Invariant("calibrated", _of_class(Observe).offences)
INTEGER = Invariant("integer", _of_class(Observe, FakeQuant, FakeQuantDynamic).offences)
