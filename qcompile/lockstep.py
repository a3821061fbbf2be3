"""The artifact beside the interpreter, on equal operands: what makes one operator's bits provable.

Where reals lie between integers, an engine that adds them up in another order gives other last
bits, roundings behind them fall to the other side, and the layers after that pass it on: how far
whole outputs are apart says little. So each value without a unit (a real, an index, a mask) is
computed by the artifact from the *interpreter's* values. Integers between two of them, quantize and
dequantize, and all that is one IEEE operation must then give the same bits; sums and
transcendental functions of reals may differ by `REAL` of their norm.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Final

from qcompile.golden import first_difference, relative_error
from qcompile.ir.dims import static
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops import binary, pointwise, reduce, shape
from qcompile.ir.ops.quant import Dequantize, Quantize
from qcompile.ir.ops.source import Input
from qcompile.ir.types import Array
from qcompile.passes.each import Each, uncounted
from qcompile.targets.base import Computing, InParts
from qcompile.targets.reached import reached

REAL: Final = 2.0**-18  # of a result's norm: 64 units in the last place of float32
AT_ONCE: Final = 1 << 24  # bytes of values that a part of the program computes

EXACT: Final[tuple[type[Node], ...]] = (
    Quantize, Dequantize,
    binary.Add, binary.Sub, binary.Mul, binary.Div, binary.Minimum, binary.Maximum,
    binary.And, binary.Or, binary.Xor, binary.Comparison, binary.Where,
    pointwise.Relu, pointwise.Clip, pointwise.Abs, pointwise.Neg, pointwise.Sign,
    pointwise.Floor, pointwise.Ceil, pointwise.Round, pointwise.Sqrt, pointwise.Not, pointwise.Cast,
    reduce.Extremum, reduce.Arg,
    shape.Reshape, shape.Transpose, shape.Concat, shape.Slice, shape.Gather, shape.Pad,
    shape.Expand, shape.ShapeOf,
)  # fmt: skip
"""Operators of one meaning, bit for bit, on equal operands; of reals one IEEE operation each."""


@dataclass(frozen=True)
class Agreement:
    """How many integer and real operators were compared; `differences` in words; the real operator
    that is farthest off, by `farthest` of its norm. Of `rounded` integers that one kernel computes
    from sums or functions of reals, `flipped` are off by one."""

    integers: int = 0
    reals: int = 0
    differences: tuple[str, ...] = ()
    farthest: float = 0.0
    where: str = ""
    rounded: int = 0
    flipped: int = 0

    def __str__(self) -> str:
        said = (
            f"{self.integers} integer operators on equal operands, {len(self.differences)} "
            f"differences; {self.reals} real ones within {self.farthest:.1e} of their norm"
        )
        if not self.flipped:
            return said
        return (
            f"{said}; {self.flipped} roundings of {self.rounded} fell to the other side, "
            f"each by one"
        )


def lockstep(
    graph: Graph,
    runtime: InParts,
    samples: Sequence[Sequence[Array]],
    each: Each = uncounted,
    *,
    at_once: int = AT_ONCE,
) -> Agreement:
    """Compares every operator that an input reaches, on all samples at once, part after part.

    Memory is that of the interpreter's values of one part, `at_once` bytes of results, and of those
    that later parts read.
    """
    edges = cut_edges(graph)
    fed = {edge: sources(edge, edges) for edge in edges}
    found = Agreement(integers=sum(is_whole(n) for n in reached(graph)))
    parts = list(_parts([e for e in edges if not isinstance(e, Input)], at_once // len(samples)))
    walk = zip(*(graph.values(s, keep=list(edges)) for s in samples), strict=True)
    known: dict[Node, list[Array]] = {}
    for place, wanted in enumerate(each(parts, "comparing operators on equal operands")):
        given = list(dict.fromkeys(source for edge in wanted for source in fed[edge]))
        while not all(node in known for node in (*wanted, *given)):
            row = next(walk)
            known[row[0][0]] = [value for _, value in row]
        found = _compared(found, runtime.part(graph, given, wanted), given, wanted, known)
        later = {s for rest in parts[place + 1 :] for edge in rest for s in (edge, *fed[edge])}
        known = {node: values for node, values in known.items() if node in later}
    return found


def cut_edges(graph: Graph) -> dict[Node, None]:
    """Inputs, all computed values without a unit, and the graph's results; in order."""
    computed = frozenset(reached(graph))
    return dict.fromkeys(
        node
        for node in graph.nodes
        if isinstance(node, Input)
        or (node in computed and (node.type.unit is None or node in graph.results))
    )


def sources(edge: Node, edges: Collection[Node]) -> tuple[Node, ...]:
    """The edges that it is computed from, with nothing but integers and constants between."""
    found: dict[Node, None] = {}
    seen: set[Node] = set()
    stack = list(edge.operands)
    while stack:
        node = stack.pop()
        if node in edges:
            found[node] = None
        elif node not in seen:
            seen.add(node)
            stack.extend(node.operands)
    return tuple(found)


def is_whole(node: Node) -> bool:
    """It is an integer operator: it has integers with a unit on a side."""
    return node.type.unit is not None or isinstance(node, Dequantize)


def _parts(edges: Sequence[Node], limit: int) -> Iterator[list[Node]]:
    """The edges in order, as many together as have so many bytes."""
    part: list[Node] = []
    size = 0
    for edge in edges:
        own = edge.type.elem.storage.itemsize * prod(static(edge.type.shape))
        if part and size + own > limit:
            yield part
            part, size = [], 0
        part.append(edge)
        size += own
    if part:
        yield part


def _compared(
    found: Agreement,
    compute: Computing,
    given: Sequence[Node],
    wanted: Sequence[Node],
    known: Mapping[Node, Sequence[Array]],
) -> Agreement:
    for sample in range(len(known[wanted[0]])):
        computed = compute({node: known[node][sample] for node in given})
        for node in wanted:
            found = with_value(
                found, node, known[node][sample], computed[node], new=sample == 0,
                exact=isinstance(node, EXACT),
            )  # fmt: skip
    return found


def with_value(
    found: Agreement, node: Node, value: Array, computed: Array, *, new: bool, exact: bool
) -> Agreement:
    """The agreement with one more value: reals may differ by `REAL` of their norm unless `exact`,
    all else has one meaning. `new`: it counts as an operator."""
    if new and not is_whole(node):
        found = replace(found, reals=found.reals + 1)
    difference = first_difference(value, computed)
    if difference is None:
        return found
    error = relative_error(value, computed)
    if error == 0:  # zeros of different signs
        return found
    if not exact and value.dtype.kind == "f" and error <= REAL:
        better = error <= found.farthest
        return found if better else replace(found, farthest=error, where=called(node))
    return replace(found, differences=(*found.differences, f"{called(node)}{difference}"))


def called(node: Node) -> str:
    """The operation and its name; without one, the first name behind it."""
    if node.name:
        return f"{node.op} {node.name}"
    behind = node
    while not behind.name and behind.operands:
        behind = behind.operands[0]
    return f"{node.op} of {behind.name or behind.op}"
