"""How far the integers are from the reals: per output, and per layer accumulated and isolated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.analysis.ends import before_saturation
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.quant import Dequantize, FakeQuant, FakeQuantDynamic, to_reals
from qcompile.ir.ops.source import Const, Input
from qcompile.ir.types import Array
from qcompile.passes.dynamic_products import is_dynamic_result
from qcompile.passes.each import Each, uncounted
from qcompile.watched import watched

Sample = Sequence[Array]
CEILING_DB = 200.0


@dataclass(frozen=True)
class Layer:
    """One layer's signal-to-quantization-noise ratios in dB.

    `accumulated`: the integer program's value against the float model's. `isolated`: this layer
    alone quantized, its operands taken from the float model.
    """

    name: str
    op: str
    accumulated: float
    isolated: float


@dataclass
class Noise:
    """Running sums of a signal's and an error's squares."""

    signal: float = 0.0
    error: float = 0.0

    def add(self, real: NDArray[Any], found: NDArray[Any]) -> None:
        """Takes one pair of arrays in."""
        a, b = real.astype(np.float64), found.astype(np.float64)
        self.signal += float(np.square(a).sum())
        self.error += float(np.square(a - b).sum())

    @property
    def db(self) -> float:
        """10·log10(signal / error), held to ±200."""
        if self.error == 0:
            return CEILING_DB
        if self.signal == 0:
            return -CEILING_DB
        return float(np.clip(10 * np.log10(self.signal / self.error), -CEILING_DB, CEILING_DB))


def output_sqnr(
    real: Graph, integer: Graph, samples: Iterable[Sample], each: Each = uncounted
) -> dict[str, float]:
    """Per output, before a final softmax or sigmoid where both graphs name the value there."""
    ends = {name: before_saturation(node) for name, node in real.outputs}
    others = counterparts(integer, ends)
    ends = {name: ends[name] if name in others else node for name, node in real.outputs}
    others = dict(integer.outputs) | others
    found = {name: Noise() for name in ends}
    for sample in samples:
        wanted = values_at(real, sample, ends, each)
        given = values_at(integer, sample, others, each)
        for name, noise in found.items():
            noise.add(wanted[name].reshape(-1), given[name].reshape(-1))
    return {name: noise.db for name, noise in found.items()}


def counterparts(integer: Graph, ends: Mapping[str, Node]) -> dict[str, Node]:
    """What the integer graph has of the same name as each of the float graph's values; left out
    where it has none."""
    others = _by_name(integer)
    return {name: others[node.name] for name, node in ends.items() if node.name in others}


def values_at(
    graph: Graph, sample: Sample, ends: Mapping[str, Node], each: Each = uncounted
) -> dict[str, Array]:
    """The values of the named ends for one sample, as reals."""
    values = dict(watched(graph, sample, list(ends.values()), each))
    return {name: _as_reals(node, values[node]) for name, node in ends.items()}


def layer_sqnr(
    real: Graph,
    calibrated: Graph,
    integer: Graph,
    samples: Iterable[Sample],
    each: Each = uncounted,
) -> list[Layer]:
    """Every value that both the float and the integer graph name, in graph order."""
    targets = _by_name(integer)
    shared = [n for n in real.nodes if n.name in targets and n.operands and n.type.is_float]
    together, alone = (
        {n.name: Noise() for n in shared},
        {n.name: Noise() for n in shared},
    )
    for sample in samples:
        ints = iter_named(integer, sample, {n.name for n in shared}, each)
        quantized: dict[str, Array] = dict(ints)
        for name, value, single in isolated(calibrated, sample, set(quantized), each):
            together[name].add(value, quantized[name])
            if single is not None:
                alone[name].add(value, single)
    return [Layer(n.name, n.op, together[n.name].db, alone[n.name].db) for n in shared]


def iter_named(
    graph: Graph, sample: Sample, names: set[str], each: Each = uncounted
) -> Iterator[tuple[str, Array]]:
    """The named values of an integer graph, as reals; the last of a name counts."""
    chosen = {name: node for name, node in _by_name(graph).items() if name in names}
    for node, value in watched(graph, sample, list(chosen.values()), each):
        if chosen.get(node.name) is node:
            yield node.name, _as_reals(node, value)


def isolated(
    graph: Graph, sample: Sample, names: set[str], each: Each = uncounted
) -> Iterator[tuple[str, Array, Array | None]]:
    """(name, float value, value when only this node is quantized) for the named nodes.

    `graph` is the calibrated one: its FakeQuants are skipped for the float value.
    """
    exact: dict[Node, Array] = dict(zip(graph.inputs, sample, strict=True))
    remaining = {node: len(users) for node, users in graph.users.items()}
    for node in each(graph.nodes, "comparing layers"):
        if isinstance(node, FakeQuant | FakeQuantDynamic):
            exact[node] = exact[node.x]
        elif not isinstance(node, Input):
            exact[node] = node.evaluate(*(exact[o] for o in node.operands))
        if node.name in names and not isinstance(
            node, FakeQuant | FakeQuantDynamic | Input | Const
        ):
            yield node.name, exact[node], _alone(node, exact, graph.users)
        for operand in dict.fromkeys(node.operands):
            remaining[operand] -= 1
            if not remaining[operand]:
                del exact[operand]


def _alone(
    node: Node, exact: Mapping[Node, Array], users: Mapping[Node, Sequence[Node]]
) -> Array | None:
    quantized = [
        o.evaluate(exact[o]) if isinstance(o, FakeQuant | FakeQuantDynamic) else exact[o]
        for o in node.operands
    ]
    value = node.evaluate(*quantized)
    for user in users[node]:
        if isinstance(user, FakeQuant):
            return user.evaluate(value)
    return value


def _by_name(graph: Graph) -> dict[str, Node]:
    """Integer values (and reals behind them) by name, the last of a name counts."""
    return {node.name: node for node in graph.nodes if node.name and _is_integer(node)}


def _is_integer(node: Node) -> bool:
    """Computed integers, and what reals they become at once."""
    quantized = node.type.is_quantized and bool(node.operands)
    return quantized or isinstance(node, Dequantize) or is_dynamic_result(node)


def _as_reals(node: Node, value: Array) -> Array:
    return value if node.type.unit is None else to_reals(value, node.type.unit)
