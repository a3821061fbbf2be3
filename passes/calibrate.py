"""Observe → FakeQuant: every marked edge gets its unit from what calibration saw there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from qcompile.calibrate.estimators import ESTIMATORS, Range
from qcompile.calibrate.statistics import Statistics
from qcompile.calibrate.units import activation_format
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.quant import FakeQuant, FakeQuantDynamic, Observe, Spec
from qcompile.ir.ops.shape import Concat, Gather
from qcompile.ir.ops.source import Const
from qcompile.ir.rewrite import Site, rewrite
from qcompile.ir.unit import Affine
from qcompile.passes.base import Meaning, Pass
from qcompile.passes.each import Each, uncounted
from qcompile.passes.invariants import CALIBRATED, SPECIFIED
from qcompile.passes.masked_ranges import without_masks
from qcompile.passes.roles import Role, role
from qcompile.passes.weight_units import weight_unit

JOIN = 4.0  # ranges within this factor share one scale at a concat


@dataclass(frozen=True)
class Calibrate(Pass):
    """`statistics` belong to the observed activations, in graph order."""

    name: ClassVar[str] = "calibrate"
    requires = frozenset({SPECIFIED})
    gives = frozenset({CALIBRATED})
    keeps: ClassVar[Meaning] = Meaning.NOT

    statistics: Sequence[Statistics] = field(repr=False)
    threads: int = field(default=1, repr=False)
    each: Each = field(default=uncounted, repr=False)

    def run(self, graph: Graph) -> Graph:
        """Weights are scaled after their inputs, so that every bias fits its accumulator."""
        if not any(isinstance(node, Observe) for node in graph.nodes):
            return graph
        seen = observed(graph)
        ranges = {
            edge: estimate(edge.spec, found)
            for edge, found in zip(seen, self.statistics, strict=True)
        }
        ranges = join_at_concats(graph, without_masks(graph, ranges))

        weights = [n for n in graph.nodes if isinstance(n, Observe) and isinstance(n.x, Const)]
        done = iter(self.each(weights, "scaling weights"))

        def settle(node: Node, site: Site) -> Node | None:
            old = site.was(node)
            if isinstance(node, Observe) and node.spec.along is not None:
                name = _plain(node.name)
                return FakeQuantDynamic(node.x, node.spec.elem, node.spec.along, name=name)
            if isinstance(old, Observe) and old in ranges:
                elem, unit = activation_format(ranges[old], old.spec)
                return FakeQuant(node.operands[0], elem, unit, name=_plain(old.name))
            weighed = _settle_weight(node, self.threads)
            if weighed is not None:
                next(done, None)
            return weighed

        return rewrite(graph, settle)


def observed(graph: Graph) -> tuple[Observe, ...]:
    """The marked activations whose range is to be found, in graph order."""
    marks = (n for n in graph.nodes if isinstance(n, Observe) and n.spec.along is None)
    return tuple(n for n in marks if not isinstance(n.x, Const))


def estimate(spec: Spec, seen: Statistics) -> Range:
    """The range that the edge's estimator finds."""
    return ESTIMATORS[spec.method](seen, 1 << spec.elem.bits)


def join_at_concats(graph: Graph, ranges: Mapping[Observe, Range]) -> dict[Observe, Range]:
    """Operands of a concat whose ranges differ by less than 4 share the widest: no rescale there.

    Ranges that differ more stay apart; quantize then splits the consumer or rescales.
    """
    result = dict(ranges)
    for node in graph.nodes:
        if not isinstance(node, Concat) or role(node) is not Role.MOVE:
            continue
        group = list(dict.fromkeys(o for o in map(origin, node.xs) if isinstance(o, Observe)))
        found = [result[o] for o in group if o in result]
        widths = [hi - lo for lo, hi in found]
        if len(found) == len(group) > 1 and min(widths) * JOIN >= max(widths) > 0:
            joined = (min(lo for lo, _ in found), max(hi for _, hi in found))
            result |= dict.fromkeys(group, joined)
    return result


def origin(node: Node) -> Node:
    """The marker whose range a value has, through single-operand moves."""
    while role(node) is Role.MOVE and not isinstance(node, Concat):
        node = node.operands[0]
    return node


def unit_of(node: Node) -> Affine | None:
    """The unit of a calibrated value, through moves; None when it stays float."""
    match origin(node):
        case FakeQuant(unit=unit):
            return unit
        case Concat(xs=xs):
            units = [unit_of(x) for x in xs]
            known = [u for u in units if u is not None]
            return max(known, key=lambda u: u.scale[0]) if len(known) == len(units) else None
        case _:
            return None


def _settle_weight(node: Node, threads: int) -> Node | None:
    match node:
        case Conv(x=x, w=Observe(x=Const() as w, spec=spec) as seen, bias=bias):
            pass
        case ConvTranspose(x=x, w=Observe(x=Const() as w, spec=spec) as seen, bias=bias):
            pass
        case MatMul(a=x, b=Observe(x=Const() as w, spec=spec) as seen, bias=bias):
            pass
        case MatMul(a=Observe(x=Const() as w, spec=spec) as seen, b=x, bias=bias):
            pass
        case Gather(x=Observe(x=Const() as w, spec=spec) as seen, indices=x):
            bias = None
        case _:
            return None
    added = bias if isinstance(bias, Const) else None
    unit = weight_unit(w, spec, added, unit_of(x), threads=threads)
    fixed = FakeQuant(w, spec.elem, unit, name=_plain(seen.name))
    return node.with_operands(fixed if o is seen else o for o in node.operands)


def _plain(name: str) -> str:
    return name.removesuffix(".range")
