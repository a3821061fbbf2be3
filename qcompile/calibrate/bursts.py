"""Statistics of real values, guessed from a twin on noise: values burst, and maps stay alike.

Matched noise has the mean and the deviation of real values, but is more even than they are:
channels deep in a network look for things, find them in few pictures, and there all over. So the
twin's greatest values fall short, and what is averaged over places loses its deviation wholly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from qcompile.calibrate.collect import Sample, in_order
from qcompile.calibrate.side_by_side import side_by_side
from qcompile.calibrate.statistics import Statistics, statistics
from qcompile.errors import CalibrationError
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.quant import Observe
from qcompile.ir.ops.reduce import ReduceMean
from qcompile.ir.types import Array

GROWTH = 1.25  # of what a contraction gives, in a burst
ONE_IN = 16  # values


@dataclass(frozen=True)
class _Value:
    """A value as noise gives it, and in a burst."""

    usual: Array
    burst: Array


def collect_bursts(
    graph: Graph, edges: Sequence[Node], samples: Iterable[Sample], *, threads: int = 1
) -> list[Statistics]:
    """As `collect`, with one value in `ONE_IN` from a burst, and means as what they average.

    In a burst every contraction gives `GROWTH` times what it gives on noise; all that follows is
    computed from there, so that what bounds values bounds bursts, too. Where that is not finite
    the usual value stands for it.
    """
    total: list[Statistics] | None = None
    for part in in_order(lambda sample: _one(graph, edges, sample), samples, threads=threads):
        total = part if total is None else [a + b for a, b in zip(total, part, strict=True)]
    if total is None:
        raise CalibrationError("no calibration samples: give at least one")
    return total


def _one(graph: Graph, edges: Sequence[Node], sample: Sample) -> list[Statistics]:
    wanted = {_source(edge): edge.name or edge.op for edge in edges}
    rows: dict[Node, list[_Value]] = {
        node: [_Value(x, x)] for node, x in zip(graph.inputs, sample, strict=True)
    }
    found = {n: _mixed(value, wanted[n]) for n, (value,) in rows.items() if n in wanted}

    def step(node: Node, operands: Sequence[Sequence[_Value]]) -> list[_Value]:
        value = _both(node, operands[0] if operands else ())
        if node in wanted:
            found[node] = _mixed(value, wanted[node])
        return [value]

    side_by_side(graph, rows, step)
    return [found[_source(edge)] for edge in edges]


def _both(node: Node, operands: Sequence[_Value]) -> _Value:
    usual = node.evaluate(*(o.usual for o in operands))
    if isinstance(node, Conv | ConvTranspose | MatMul):
        return _Value(usual, usual * usual.dtype.type(GROWTH))
    if all(o.burst is o.usual for o in operands):
        return _Value(usual, usual)
    with np.errstate(all="ignore"):
        burst = node.evaluate(*(o.burst for o in operands))
    return _Value(usual, burst if np.isfinite(burst).all() else usual)


def _mixed(value: _Value, where: str) -> Statistics:
    usual = statistics(value.usual, where=where)
    if value.burst is value.usual:
        return usual
    burst = statistics(value.burst, where=where)
    return usual.repeated(ONE_IN - 1) + burst


def _source(edge: Node) -> Node:
    """The value behind marks whose statistics an edge takes."""
    while isinstance(edge, Observe):
        edge = edge.x
    if isinstance(edge, ReduceMean) and edge.axes and min(edge.axes) >= 2:
        return _source(edge.x)
    return edge
