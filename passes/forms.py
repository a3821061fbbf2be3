"""What each float value has become so far: a real, an integer, or an integer with bounds due."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from qcompile.analysis.bounds import Bounds
from qcompile.ir.blob import Blob, blob, spilled_blob
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Minimum
from qcompile.ir.ops.integer import ExpandGroups, requantize
from qcompile.ir.ops.pointwise import Clip, Relu
from qcompile.ir.ops.quant import Dequantize, FakeQuant, Quantize, to_integers
from qcompile.ir.ops.source import Const, const
from qcompile.ir.types import I32, Array, Scalar
from qcompile.ir.unit import Affine, per_tensor
from qcompile.passes.weights import IN_MEMORY

SUM_BITS = 19  # a sum's unit is 2^-19 of the coarsest operand's step: 2^11 steps of headroom
WIDE_BITS = 30
WIDE_LIMIT = 1 << WIDE_BITS


@dataclass(frozen=True)
class Form:
    """`integer` clamped to [lo, hi] in reals, then held to `caps`, which spread over it; what comes
    behind does that in its own integers."""

    integer: Node
    lo: float = -math.inf
    hi: float = math.inf
    caps: Const | None = None

    @property
    def clamped(self) -> bool:
        """A bound is still to be applied."""
        return self.lo > -math.inf or self.hi < math.inf or self.caps is not None


class Forms:
    """The forms of all values of one graph, found while it is walked."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.bounds = Bounds()
        self._forms: dict[Node, Form] = {}
        self._reals: dict[Node, Node] = {}

    def put_real(self, node: Node, value: Node) -> None:
        """The value stays (or came back to) float."""
        self._reals[node] = value

    def put(self, node: Node, form: Form) -> None:
        """The value has an integer form."""
        self._forms[node] = form

    def put_weight(self, node: FakeQuant) -> None:
        """A constant becomes integers, lazily when large."""
        source = node.x
        if not isinstance(source, Const):
            raise AssertionError(f"{node} is not a weight")
        data = quantized_blob(source.data, node.elem, node.unit)
        integers = Const(data, node.elem, node.unit, name=source.name)
        grouped = node.unit.group is not None
        self.put(node, Form(ExpandGroups(integers) if grouped else integers))

    def put_narrow(self, node: FakeQuant) -> None:
        """A marked value: requantized when an integer stands behind it, else quantized."""
        form = self._forms.get(node.x)
        if form is None:
            form = self._quantized(node)
        self.put(node, Form(narrowed(form, node.elem, node.unit, node.name)))

    def _quantized(self, node: FakeQuant) -> Form:
        """The real in integers; bounds on it become bounds of them, since rounding is monotone."""
        source, lo, hi = node.x, -math.inf, math.inf
        match source:
            case Relu(x=x) if x not in self._forms:
                source, lo = x, 0.0
            case Clip(x=x) if x not in self._forms:
                source, lo, hi = x, source.lo, source.hi
            case _:
                pass
        return Form(Quantize(self.real(source), node.elem, node.unit, name=node.name), lo, hi)

    def form(self, node: Node) -> Form | None:
        """The integer form, if there is one."""
        return self._forms.get(node)

    def narrow(self, node: Node) -> Node | None:
        """The value as unclamped integers in one scale and at most 16 bits, if it has that form."""
        form = self._forms.get(node)
        if form is None or form.clamped:
            return None
        unit = form.integer.type.unit
        fits = form.integer.type.elem.bits <= 16 and unit is not None and unit.per_tensor
        return form.integer if fits else None

    def wide(self, node: Node, unit: Affine) -> Node | None:
        """The value in i32 of this unit, held to ±2^30, bounds applied."""
        form = self._forms.get(node)
        return None if form is None else widened(form, unit, node.name)

    def even(self, node: Node) -> Node | None:
        """The value in one scale for all elements, bounds applied: for moves and comparisons."""
        form = self._forms.get(node)
        if form is None:
            return None
        unit = form.integer.type.unit
        if unit is not None and unit.per_tensor and not form.clamped:
            return form.integer
        return widened(form, per_tensor(wide_step(self.reach(form))), node.name)

    def reach(self, form: Form) -> float:
        """The greatest magnitude that the value can take, in reals, its bounds applied."""
        return max(self.bounds.real(form.integer), form.lo, -form.hi)

    def real(self, node: Node) -> Node:
        """The value in float: itself, or its integer form dequantized."""
        if node not in self._reals:
            form = self._forms[node]
            self._reals[node] = Dequantize(self._settled(node, form), name=node.name)
        return self._reals[node]

    def _settled(self, node: Node, form: Form) -> Node:
        unit = form.integer.type.unit
        if not form.clamped:
            return form.integer
        half = form.lo == 0 and form.hi == math.inf and form.caps is None
        if half and unit is not None and unit.symmetric:
            return Relu(form.integer, name=node.name)
        settled = self.even(node)
        assert settled is not None
        return settled


def byte_step(elem: Scalar, unit: Affine) -> float:
    """The step that 8 bits would have over the range of a wider format: what a sum must hold."""
    return unit.scale[0] * 2.0 ** max(elem.bits - 8, 0)


def wide_step(greatest: float) -> float:
    """The finest scale of i32 that holds ±greatest within ±2^30."""
    return max(greatest, 1e-30) / WIDE_LIMIT


def narrowed(form: Form, elem: Scalar, unit: Affine, name: str) -> Node:
    """The form requantized to a narrow element, its bounds fused."""
    lo, hi = integer_bounds(form, elem, unit)
    source = form.integer
    if source.type.unit == unit and source.type.elem == elem and (lo, hi) == (elem.lo, elem.hi):
        return held(source, form.caps)
    return held(requantize(source, elem, unit, lo=lo, hi=hi, name=name), form.caps)


def widened(form: Form, unit: Affine, name: str) -> Node:
    """The form in i32 of the unit, held to ±2^30."""
    lo, hi = integer_bounds(form, I32, unit)
    low, high = (min(max(bound, -WIDE_LIMIT), WIDE_LIMIT) for bound in (lo, hi))
    value = requantize(form.integer, I32, unit, lo=low, hi=high, name=f"{name}.wide")
    return held(value, form.caps)


def held(value: Node, caps: Const | None) -> Node:
    """min(q, round(c / scale) + zero point), ties to even: rounding is monotone, so this is what
    rounding the lesser of the reals gives."""
    unit, elem = value.type.unit, value.type.elem
    if caps is None or unit is None:
        return value
    steps = np.rint(caps.array.astype(np.float64) / unit.scale[0]) + unit.zero_point[0]
    kept = np.clip(steps, max(elem.lo, -WIDE_LIMIT), min(elem.hi, WIDE_LIMIT))
    limits = const(kept.astype(elem.storage), elem=elem, unit=unit, name=caps.name)
    return Minimum(value, limits, name=f"{value.name}.held")


def integer_bounds(form: Form, elem: Scalar, unit: Affine) -> tuple[int, int]:
    """The form's bounds as integers of the unit: nearest, ties to even, held in the element."""
    zero, scale = unit.zero_point[0], unit.scale[0]
    lo, hi = elem.lo, elem.hi
    if form.lo > -math.inf:
        lo = min(max(lo, round(form.lo / scale) + zero), elem.hi)
    if form.hi < math.inf:
        hi = max(min(hi, round(form.hi / scale) + zero), lo)
    return lo, hi


def quantized_blob(source: Blob, elem: Scalar, unit: Affine) -> Blob:
    """The integers of a float blob; kept on disk when large."""

    def load() -> Array:
        return to_integers(np.asarray(source.array()), elem, unit)

    lazy = Blob(source.shape, elem.storage, load)
    return blob(load()) if source.nbytes <= IN_MEMORY else spilled_blob(lazy)
