"""Streaming: one sample at a time through the float graph, statistics kept, values dropped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import TypeVar

from threadpoolctl import threadpool_limits

from qcompile.calibrate.statistics import Statistics, statistics
from qcompile.errors import CalibrationError
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.quant import Observe
from qcompile.ir.types import Array

Sample = Sequence[Array]
T = TypeVar("T")
R = TypeVar("R")


def unheard(share: float) -> None:
    """Nobody waits."""


def collect(
    graph: Graph,
    edges: Sequence[Node],
    samples: Iterable[Sample],
    *,
    threads: int = 1,
    heard: Callable[[float], None] = unheard,
) -> list[Statistics]:
    """The statistics of each edge over all samples; marks of one value share them.

    `heard` is told, node by node, which share of a sample has gone through.

    The result does not depend on `threads`: each sample runs with one arithmetic thread, and the
    partial results are added in the samples' order. Memory is that of `threads` running samples.
    """
    total: list[Statistics] | None = None
    for part in in_order(partial(_one, graph, edges, heard), samples, threads=threads):
        total = part if total is None else [a + b for a, b in zip(total, part, strict=True)]
    if total is None:
        raise CalibrationError("no calibration samples: give at least one")
    return total


def in_order(work: Callable[[T], R], items: Iterable[T], *, threads: int) -> Iterator[R]:
    """`map` on a few threads, results in order, at most `threads` items under way.

    Array libraries are held to one thread each, so that sums do not depend on their number.
    """
    source = iter(items)
    with threadpool_limits(limits=1), ThreadPoolExecutor(threads) as pool:
        pending = [pool.submit(work, item) for item in islice(source, threads)]
        while pending:
            yield pending.pop(0).result()
            pending += [pool.submit(work, item) for item in islice(source, 1)]


def _one(
    graph: Graph, edges: Sequence[Node], heard: Callable[[float], None], sample: Sample
) -> list[Statistics]:
    first: dict[Node, Node] = {}
    for edge in edges:
        first.setdefault(bare(edge), edge)
    found: dict[Node, Statistics] = {}
    wanted = set(first.values())
    for node, value in graph.values(sample, keep=graph.nodes):
        if node in wanted:
            found[bare(node)] = statistics(value, where=node.name or node.op)
        heard(1 / len(graph.nodes))
    return [found[bare(edge)] for edge in edges]


def bare(edge: Node) -> Node:
    """The value behind its marks."""
    while isinstance(edge, Observe):
        edge = edge.x
    return edge
