"""A program beside the interpreter, step by step: each kernel on the interpreter's operands.

A program of our own is run as it is; between two steps every value in memory is compared and then
replaced by the interpreter's. What one kernel does in registers counts by its result. Kernels of
integers, and of reals by single IEEE operations, must give the interpreter's bits; where sums or
transcendental functions of reals are among them, reals may differ by `REAL` of their norm. If such
a kernel goes on to round, a rounding may fall to the other side: the integer must be one that a
real within `REAL` of the norm rounds to, and how many are off by one is said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from qcompile.golden import first_difference
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.quant import Quantize
from qcompile.ir.types import Array
from qcompile.lockstep import EXACT, REAL, Agreement, called, is_whole, with_value
from qcompile.passes.each import Each, uncounted
from qcompile.targets.base import InSteps
from qcompile.targets.reached import reached


@dataclass(frozen=True)
class Kernels:
    """What is compared: values that steps leave in memory and results, each with the nodes that
    are computed for it from earlier ones; none for a result that is also in memory."""

    shown: frozenset[Node]
    chains: Mapping[Node, tuple[Node, ...]]

    @property
    def members(self) -> frozenset[Node]:
        """All nodes that a compared value depends on."""
        return frozenset(node for chain in self.chains.values() for node in chain)

    def is_exact(self, node: Node) -> bool:
        """Nothing but integers and single IEEE operations lie before it."""
        return all(map(_is_exact, self.chains[node]))

    @property
    def kept(self) -> list[Node]:
        """What is compared, and the reals that are rounded in between."""
        rounded = (n for n in self.chains if isinstance(n, Quantize) and not self.is_exact(n))
        return [*self.chains, *(node.x for node in rounded)]


def stepwise(
    graph: Graph, runtime: InSteps, samples: Sequence[Sequence[Array]], each: Each = uncounted
) -> Agreement:
    """Compares every step of the program on every sample."""
    kernels = _kernels(graph, runtime, samples[0])
    found = Agreement(integers=sum(is_whole(node) for node in kernels.members))
    for place, sample in enumerate(each(samples, "comparing steps on equal operands")):
        found = _Walk(graph, kernels, sample, found, new=place == 0).run(runtime)
    return found


def _kernels(graph: Graph, runtime: InSteps, sample: Sequence[Array]) -> Kernels:
    """What the program shows, from a run that changes nothing."""
    shown: dict[Node, None] = {}

    def note(node: Node, value: Array) -> Array:
        shown[node] = None
        return value

    runtime.stepped(graph, _named(graph, sample), note)
    computed = frozenset(reached(graph))
    wanted = dict.fromkeys((*shown, *(node for node in graph.results if node in computed)))
    chains = {node: _chain(node, shown, computed) for node in wanted}
    return Kernels(frozenset(shown), chains)


def _chain(head: Node, shown: Mapping[Node, None], computed: frozenset[Node]) -> tuple[Node, ...]:
    """The nodes between values in memory and this one, itself among them."""
    found: dict[Node, None] = {head: None}
    stack = list(head.operands)
    while stack:
        node = stack.pop()
        if node in computed and node not in shown and node not in found:
            found[node] = None
            stack.extend(node.operands)
    return tuple(found)


class _Walk:
    """One sample's run, with the interpreter some steps ahead of it."""

    def __init__(
        self,
        graph: Graph,
        kernels: Kernels,
        sample: Sequence[Array],
        found: Agreement,
        *,
        new: bool,
    ) -> None:
        self.graph = graph
        self.kernels = kernels
        self.inputs = _named(graph, sample)
        self.found = found
        self.new = new
        self.known: dict[Node, Array] = {}
        self.values = graph.values(sample, keep=kernels.kept)

    def run(self, runtime: InSteps) -> Agreement:
        """The agreement with this sample's values."""
        outputs = runtime.stepped(self.graph, self.inputs, self.correct)
        for name, node in self.graph.outputs:
            if node in self.kernels.shown:
                self.found = with_value(
                    self.found, node, self.value(node), outputs[name], new=False, exact=True
                )
            elif node in self.kernels.chains:
                self.compare(node, outputs[name])
        return self.found

    def correct(self, node: Node, computed: Array) -> Array:
        """The interpreter's value, compared."""
        self.compare(node, computed)
        value = self.value(node)
        if node not in self.graph.results:
            del self.known[node]
        return value

    def compare(self, node: Node, computed: Array) -> None:
        """Notes how far a value is off that was computed from the interpreter's."""
        value = self.value(node)
        exact = self.kernels.is_exact(node)
        if not exact and node.type.is_quantized and value.shape == computed.shape:
            low, high = self.around(node)
            self.found = with_roundings(self.found, node, value, computed, low=low, high=high)
            return
        self.found = with_value(self.found, node, value, computed, new=self.new, exact=exact)

    def around(self, node: Node) -> tuple[Array, Array]:
        """The least and the greatest integers that the node's value may be."""
        if not isinstance(node, Quantize):
            value = self.value(node).astype(np.int64)
            return value - 1, value + 1
        real = self.value(node.x)
        self.known.pop(node.x)
        off = np.float32(REAL * np.linalg.norm(real.astype(np.float64)))
        return node.evaluate(real - off), node.evaluate(real + off)

    def value(self, node: Node) -> Array:
        """The interpreter's value; it goes on until it has it."""
        while node not in self.known:
            at, value = next(self.values)
            self.known[at] = value
        return self.known[node]


def with_roundings(
    found: Agreement, node: Node, value: Array, computed: Array, *, low: Array, high: Array
) -> Agreement:
    """The agreement with integers that were rounded from sums or functions of reals: each from
    `low` to `high`, and off by one at most."""
    off = np.abs(computed.astype(np.int64) - value.astype(np.int64))
    wrong = int(np.count_nonzero((computed < low) | (computed > high) | (off > 1)))
    found = replace(
        found,
        rounded=found.rounded + off.size,
        flipped=found.flipped + int(np.count_nonzero(off)) - wrong,
    )
    if not wrong:
        return found
    said = f"{called(node)}{first_difference(value, computed)}"
    return replace(found, differences=(*found.differences, said))


def _is_exact(node: Node) -> bool:
    return isinstance(node, EXACT) or not node.type.elem.is_float


def _named(graph: Graph, sample: Sequence[Array]) -> dict[str, Array]:
    return {node.name: value for node, value in zip(graph.inputs, sample, strict=True)}
