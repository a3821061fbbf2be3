"""A real graph that runs in torch, on one arithmetic thread, any part of it at a time."""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Additive
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.source import Const, Input
from qcompile.ir.types import Array
from qcompile.sensitivity.torch_ops import Operation, Tensor, native, operation, overwriting, tensor

TOGETHER = 8  # samples in a batch: more do not fit a core's cache
Values = dict[Node, Tensor]


@dataclass(frozen=True, slots=True)
class Step:
    """One evaluation, and the values that nobody reads after it."""

    node: Node
    dead: tuple[Node, ...]


class Network:
    """What each node does; what no input reaches is computed once.

    `batch`: samples that run as one, 1 where some value of the graph has no room for more.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        reached = _reached(graph)
        roomy = all(node.type.rank > 0 and node.type.shape[0] == 1 for node in reached)
        self.batch = TOGETHER if roomy else 1
        self.constants: Values = {}
        for node in graph.nodes:
            if node not in reached:
                known = (self.constants[o].numpy() for o in node.operands)
                self.constants[node] = tensor(node.evaluate(*known))
        self._batched = reached if roomy else frozenset[Node]()
        inner = [n for n in graph.nodes if n in reached and not isinstance(n, Input)]
        self._operations = {node: self._operation(node) for node in inner}
        self.steps = schedule(list(self._operations), keep=graph.results)

    def batches(self, samples: Sequence[Sequence[Array]]) -> list[Values]:
        """The inputs' values, as many samples in each as run as one."""
        starts = range(0, len(samples), self.batch)
        return [self._inputs(samples[start : start + self.batch]) for start in starts]

    def outputs(self, inputs: Values) -> list[Tensor]:
        """The values of the graph's results."""
        values = self.run(self.steps, dict(inputs))
        return [self.value(end, values) for end in self.graph.results]

    def _inputs(self, samples: Sequence[Sequence[Array]]) -> Values:
        columns: list[tuple[Array, ...]] = list(zip(*samples, strict=True))
        found = {
            node: tensor(np.concatenate(column) if self.batch > 1 else column[0])
            for node, column in zip(self.graph.inputs, columns, strict=True)
        }
        return {node: in_reading_order(value) for node, value in found.items()}

    def apply(self, node: Node, values: Values) -> Tensor:
        """The node's value."""
        return self.applied(node, [self.value(o, values) for o in node.operands])

    def applied(self, node: Node, operands: Sequence[Tensor]) -> Tensor:
        """The node's value on other operands."""
        return self._operations[node](*operands)

    def run(self, steps: Sequence[Step], values: Values) -> Values:
        """Adds the values of the steps; drops what died on the way."""
        for step in steps:
            values[step.node] = self.apply(step.node, values)
            for node in step.dead:
                values.pop(node, None)
        return values

    def value(self, node: Node, values: Values) -> Tensor:
        """A constant, or what is among the values."""
        found = values.get(node)
        return self.constants[node] if found is None else found

    @property
    def foreign(self) -> tuple[Node, ...]:
        """What numpy does, without gradients."""
        return tuple(n for n in self._operations if native(n, self._many(n)) is None)

    def _operation(self, node: Node) -> Operation:
        first = node.operands[0]
        fresh = isinstance(first, Conv | ConvTranspose | MatMul | Additive)
        quick = overwriting(node) if fresh and self.graph.sole(first) else None
        return operation(node, self._many(node)) if quick is None else quick

    def _many(self, node: Node) -> list[bool]:
        return [o in self._batched for o in node.operands]


def schedule(nodes: Sequence[Node], *, keep: Collection[Node]) -> list[Step]:
    """The nodes in this order, each with those of them and their operands that die at it."""
    last = {operand: node for node in nodes for operand in node.operands}
    ends: dict[Node, list[Node]] = {node: [] for node in nodes}
    for operand, node in last.items():
        if operand not in keep and not isinstance(operand, Const):
            ends[node].append(operand)
    return [Step(node, tuple(ends[node])) for node in nodes]


def behind(graph: Graph, site: Node) -> frozenset[Node]:
    """All that the site's value reaches."""
    found: set[Node] = set()
    for node in graph.nodes:
        if any(o is site or o in found for o in node.operands):
            found.add(node)
    return frozenset(found)


def in_reading_order(x: Tensor) -> Tensor:
    """Pictures with their channels last: what torch's convolutions like best."""
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x


@contextmanager
def one_thread() -> Generator[None]:
    """torch on one arithmetic thread in each thread: sums do not depend on their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def versions() -> dict[str, str]:
    """What the bits of results depend on beside the inputs."""
    return {"torch": str(torch.__version__), "cpu": torch.backends.cpu.get_cpu_capability()}


def _reached(graph: Graph) -> frozenset[Node]:
    found: set[Node] = set(graph.inputs)
    for node in graph.nodes:
        if any(o in found for o in node.operands):
            found.add(node)
    return frozenset(found)
