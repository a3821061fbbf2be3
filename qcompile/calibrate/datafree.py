"""Calibration without data: noise, and a twin whose batchnorms see what they were trained on.

A trained batchnorm remembers mean and variance of its input on real data. On noise its input has
others, so every range behind it would be wrong. The twin is the same network with each batchnorm's
statistics replaced by those that the noise really produces there: then each batchnorm gives out
exactly the mean β and deviation γ per channel that it was trained to give, and ranges measured on
the twin fit the network (the idea of matching statistics: ZeroQ, arXiv 2001.00281, section 3;
Nagel et al., arXiv 1906.04721, section 4.2; here without any optimization).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qcompile.calibrate.collect import in_order
from qcompile.calibrate.side_by_side import side_by_side
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.norm import BatchNorm
from qcompile.ir.ops.source import Const, Input, const, input_shape
from qcompile.ir.rewrite import Site, rewrite
from qcompile.ir.types import Array

Sample = tuple[Array, ...]

SAMPLES = 8


def noise(graph: Graph, *, seed: int, count: int = SAMPLES) -> list[Sample]:
    """Guessed inputs: standard normal reals, smooth along spatial axes in every second sample.

    Integer inputs are drawn from 0…99, truth values evenly; a mask lets everything through.
    """
    rng = np.random.default_rng(seed)
    return [tuple(_guess(node, rng, index) for node in graph.inputs) for index in range(count)]


def _guess(node: Input, rng: np.random.Generator, index: int) -> Array:
    shape, dtype = input_shape(node), node.type.elem.storage
    if "mask" in node.name.lower() and dtype.kind in "biu":
        return np.ones(shape, dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(dtype)
    if dtype.kind in "iu":
        return rng.integers(0, 100, shape).astype(dtype)
    values = rng.standard_normal(shape)
    for axis in range(2, len(shape)):
        if index % 2 and shape[axis] > 4:
            width = max(shape[axis] // 16, 1)
            values = sum(np.roll(values, s, axis) for s in range(-width, width + 1))
    spread = float(np.std(values)) or 1.0
    return np.asarray(values / spread).astype(dtype)


def has_statistics(graph: Graph) -> bool:
    """True when some batchnorm can be matched."""
    return any(isinstance(node, BatchNorm) for node in graph.nodes)


def matched_twin(graph: Graph, samples: Sequence[Sample], *, threads: int) -> Graph:
    """The graph with the statistics of every batchnorm measured on these samples.

    All samples go through together, since a batchnorm's own output depends on what was measured
    for it. A channel that does not vary keeps the variance it was trained with.
    """
    measured: dict[Node, BatchNorm] = {}

    def step(node: Node, operands: Sequence[Sequence[Array]]) -> list[Array]:
        actual = node
        if isinstance(node, BatchNorm) and isinstance(node.var, Const):
            actual = measured[node] = _measured(node, [x for x, *_ in operands])
            fixed = [o.array for o in actual.operands[1:] if isinstance(o, Const)]
            operands = [[x, *fixed] for x, *_ in operands]
        return list(in_order(lambda xs: actual.evaluate(*xs), operands, threads=threads))

    def swap(node: Node, site: Site) -> Node | None:
        found = measured.get(site.was(node))
        return None if found is None else found.replace(x=node.operands[0])

    side_by_side(graph, {n: [s[i] for s in samples] for i, n in enumerate(graph.inputs)}, step)
    return rewrite(graph, swap)


def _measured(node: BatchNorm, values: Sequence[Array]) -> BatchNorm:
    rows = np.concatenate([np.moveaxis(v, 1, 0).reshape(v.shape[1], -1) for v in values], 1)
    mean, var = rows.mean(1, dtype=np.float64), rows.var(1, dtype=np.float64)
    trained = np.asarray(node.var.array if isinstance(node.var, Const) else var, np.float64)
    live = np.where(var > 1e-6 * max(float(var.max()), 1e-30), var, np.maximum(trained, 1e-12))
    kind = node.x.type.elem.storage
    return node.replace(mean=const(mean.astype(kind)), var=const(live.astype(kind)))
