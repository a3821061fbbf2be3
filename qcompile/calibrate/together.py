"""Samples through a graph node by node, so that a weight is loaded once for many of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice

from qcompile.analysis.memory import peak_bytes
from qcompile.calibrate.collect import in_order
from qcompile.calibrate.side_by_side import Walk, side_by_side
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.types import Array

MEMORY = 1 << 28  # bytes for the values of samples that are under way
Sample = Sequence[Array]
Heard = Callable[[int, Node, Array], None]


def run_together(
    graph: Graph,
    samples: Iterable[Sample],
    *,
    keep: Collection[Node],
    hear: Heard,
    threads: int = 1,
    walk: Walk = iter,
) -> None:
    """Tells the values of the nodes in `keep` with the number of the sample.

    As many samples at once as memory allows; each runs on one arithmetic thread, so that values do
    not depend on `threads`.
    """
    first = 0
    for batch in _batches(samples, max(MEMORY // max(peak_bytes(graph), 1), 1)):
        _run(graph, batch, first, frozenset(keep), hear, threads, walk)
        first += len(batch)


def _run(
    graph: Graph,
    batch: list[Sample],
    first: int,
    keep: frozenset[Node],
    hear: Heard,
    threads: int,
    walk: Walk,
) -> None:
    def tell(node: Node, values: Sequence[Array]) -> None:
        if node in keep:
            for place in range(len(batch)):
                hear(first + place, node, values[place if len(values) > 1 else 0])

    def step(node: Node, operands: Sequence[Sequence[Array]]) -> list[Array]:
        count = min(threads, len(operands))
        values = (
            [node.evaluate(*row) for row in operands]
            if count < 2
            else list(in_order(lambda row: node.evaluate(*row), operands, threads=count))
        )
        tell(node, values)
        return values

    inputs: dict[Node, list[Array]] = {
        node: [sample[i] for sample in batch] for i, node in enumerate(graph.inputs)
    }
    for node, values in inputs.items():
        tell(node, values)
    side_by_side(graph, inputs, step, walk)


def _batches(samples: Iterable[Sample], size: int) -> Iterator[list[Sample]]:
    source = iter(samples)
    while batch := list(islice(source, size)):
        yield batch
