"""A graph: named inputs and outputs, and every node that lies between."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from qcompile.errors import UsageError
from qcompile.ir.node import Node
from qcompile.ir.ops.source import Const, Input
from qcompile.ir.types import Array


@dataclass(frozen=True, eq=False)
class Graph:
    """An immutable dataflow graph. Dead nodes are unreachable and so do not exist.

    `outputs` name what the graph gives; one node may stand under several names.
    """

    name: str
    inputs: tuple[Input, ...]
    outputs: tuple[tuple[str, Node], ...]

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes, operands before users; the order is a function of the graph alone."""
        order: dict[Node, None] = dict.fromkeys(self.inputs)
        stack = [(node, False) for node in reversed(self.results)]
        while stack:
            node, expanded = stack.pop()
            if node in order:
                continue
            if expanded:
                order[node] = None
                continue
            stack.append((node, True))
            stack.extend((o, False) for o in reversed(node.operands) if o not in order)
        return tuple(order)

    @property
    def results(self) -> tuple[Node, ...]:
        """The output nodes, without their names."""
        return tuple(node for _, node in self.outputs)

    @cached_property
    def users(self) -> Mapping[Node, tuple[Node, ...]]:
        """Who reads each node, in graph order; a node that reads twice stands once."""
        found: dict[Node, dict[Node, None]] = {node: {} for node in self.nodes}
        for node in self.nodes:
            for operand in node.operands:
                found[operand][node] = None
        return {node: tuple(users) for node, users in found.items()}

    def sole(self, node: Node) -> bool:
        """True when exactly one node reads it and it is no output."""
        return len(self.users[node]) == 1 and node not in self.results

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """The outputs' values. Frees each intermediate value after its last use."""
        values = dict(self.values(inputs, keep=self.results))
        return tuple(values[node] for node in self.results)

    def values(
        self, inputs: Sequence[Array], *, keep: Sequence[Node]
    ) -> Iterator[tuple[Node, Array]]:
        """Evaluates in order and yields the values of the nodes in `keep` as they come.

        Memory is that of the live values: each is dropped after its last use.
        """
        if len(inputs) != len(self.inputs):
            raise UsageError(f"{self.name} takes {len(self.inputs)} inputs, got {len(inputs)}")
        wanted = set(keep)
        env: dict[Node, Array] = dict(zip(self.inputs, inputs, strict=True))
        remaining = {node: len(users) for node, users in self.users.items()}
        for node in self.nodes:
            if node not in env:
                env[node] = node.evaluate(*(env[o] for o in node.operands))
            if node in wanted:
                yield node, env[node]
            for operand in dict.fromkeys(node.operands):
                remaining[operand] -= 1
                if remaining[operand] == 0:
                    del env[operand]
            if remaining[node] == 0:
                env.pop(node, None)

    def map_outputs(self, change: Callable[[Node], Node]) -> Graph:
        """The same inputs and names, other output nodes."""
        return Graph(self.name, self.inputs, tuple((n, change(o)) for n, o in self.outputs))

    def named(self, name: str) -> Node:
        """The node of this name; `UsageError` when there is none."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise UsageError(f"no node named {name!r} in {self.name}")

    @property
    def constants(self) -> tuple[Const, ...]:
        """All constant nodes, in order."""
        return tuple(node for node in self.nodes if isinstance(node, Const))

    def __str__(self) -> str:
        return f"{self.name}: {len(self.nodes)} nodes"
