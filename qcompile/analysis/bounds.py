"""How large an integer value can get: proved from types and from the actual weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add, Mul, Sub
from qcompile.ir.ops.hadamard import Hadamard
from qcompile.ir.ops.integer import (
    PROBABILITY_BITS,
    ExpandGroups,
    Lut,
    Requantize,
    SoftmaxInteger,
    constant_integers,
)
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.pointwise import Relu
from qcompile.ir.ops.pool import AveragePool
from qcompile.ir.ops.reduce import ReduceMean, ReduceSum
from qcompile.ir.ops.resize import FRACTION_BITS, ResizeLinear
from qcompile.ir.ops.source import Const
from qcompile.ir.types import I8
from qcompile.numerics.rotations import transformed
from qcompile.numerics.rounding import shift_half_up

Interval = tuple[int, int]


@dataclass
class Bounds:
    """Intervals [lo, hi] that hold every integer of a node, found once per node.

    Sums are bounded term by term from the actual weights: Σ max(w·(lo−z), w·(hi−z)).
    """

    _found: dict[Node, Interval] = field(default_factory=dict[Node, Interval])

    def of(self, node: Node) -> Interval:
        """The integers that the node can take, whatever the model's input."""
        if node not in self._found:
            self._found[node] = self._derive(node)
        return self._found[node]

    def centred(self, node: Node) -> Interval:
        """Bounds of q − zero_point."""
        lo, hi = self.of(node)
        unit = node.type.unit
        assert unit is not None
        return lo - max(unit.zero_point), hi - min(unit.zero_point)

    def magnitude(self, node: Node) -> int:
        """The greatest |q − zero_point|."""
        lo, hi = self.centred(node)
        return max(-lo, hi, 0)

    def real(self, node: Node) -> float:
        """The greatest magnitude in reals; one step for what is nothing but zero."""
        unit = node.type.unit
        assert unit is not None
        return max(self.magnitude(node), 1) * max(unit.scale)

    def _derive(self, node: Node) -> Interval:
        match node:
            case Const() | ExpandGroups():
                values = constant_integers(node)
                return (I8.lo, I8.hi) if values is None else _extent(values)
            case Requantize(lo=lo, hi=hi):
                return self._requantized(node, lo, hi)
            case Conv(x=x, w=w, bias=bias) | ConvTranspose(x=x, w=w, bias=bias):
                axis = 0 if isinstance(node, Conv) else 1
                return self._contraction(node, x, w, bias, axis)
            case MatMul(a=a, b=b, bias=bias):
                return self._product(a, b, bias, node)
            case Add() | Sub() | Mul():
                return self._arithmetic(node)
            case AveragePool() | ReduceSum() | ReduceMean() | ResizeLinear():
                return self._summed(node)
            case Hadamard():
                return self._turned(node)
            case _:
                return self._moved(node)

    def _arithmetic(self, node: Add | Sub | Mul) -> Interval:
        (al, ah), (bl, bh) = self.of(node.a), self.of(node.b)
        match node:
            case Add():
                return al + bl, ah + bh
            case Sub():
                return al - bh, ah - bl
            case _:
                ends = [p * q for p in self.centred(node.a) for q in self.centred(node.b)]
                return min(ends), max(ends)

    def _summed(self, node: AveragePool | ReduceSum | ReduceMean | ResizeLinear) -> Interval:
        lengths = [d for d in node.x.type.shape if isinstance(d, int)]
        match node:
            case AveragePool():
                factor = node.common_multiple(tuple(lengths[2:]))
            case ResizeLinear(low=low):
                factor = 1 << (FRACTION_BITS * len(low))
            case _:
                factor = prod(lengths[axis] for axis in node.axes)
        lo, hi = self.centred(node.x)
        return min(lo, 0) * factor, max(hi, 0) * factor

    def _turned(self, node: Hadamard) -> Interval:
        """Each sum takes p terms as they are and size − p negated; p is (size + Σ of signs) / 2."""
        lo, hi = self.centred(node.x)
        low, high = min(lo, 0), max(hi, 0)
        every = transformed(np.ones(node.size, np.int64), axis=0, size=node.size, seed=node.seed)
        kept = (node.size + every) // 2
        least = kept * low - (node.size - kept) * high
        most = kept * high - (node.size - kept) * low
        return int(least.min()), int(most.max())

    def _moved(self, node: Node) -> Interval:
        """Moves give what they take, or the zero point that fills a border."""
        match node:
            case SoftmaxInteger():
                return 0, 1 << PROBABILITY_BITS
            case Lut(table=table):
                return self.of(table)
            case Relu(x=x) if x.type.unit is not None:
                lo, hi = self.of(x)
                zero = x.type.unit.zero_point[0]
                return max(lo, zero), max(hi, zero)
            case _ if node.type.unit is not None and node.operands:
                found = [self.of(o) for o in node.operands if o.type.unit is not None]
                ends = [e for interval in found for e in interval] + list(node.type.unit.zero_point)
                return (min(ends), max(ends)) if found else (node.type.elem.lo, node.type.elem.hi)
            case _:
                return node.type.elem.lo, node.type.elem.hi

    def _requantized(self, node: Requantize, lo: int, hi: int) -> Interval:
        ends = np.array(self.centred(node.x), object)
        greatest, shift = max(node.numbers.value), node.numbers.shift
        low, high = (int(shift_half_up(e * greatest, shift)) for e in ends)
        zero = node.unit.zero_point[0]
        return min(max(min(low, 0) + zero, lo), hi), max(min(max(high, 0) + zero, hi), lo)

    def _contraction(self, node: Node, x: Node, w: Node, bias: Node | None, axis: int) -> Interval:
        weights = constant_integers(w)
        if weights is None:
            terms = int(np.prod([d for d in w.type.shape if isinstance(d, int)]))
            reach = self.magnitude(x) * self.magnitude(w) * terms
            return -reach, reach
        lo, hi = self.centred(x)
        axes = tuple(a for a in range(weights.ndim) if a != axis)
        low, high = _sums(weights, min(lo, 0), max(hi, 0), axes)
        repeat = node.groups if isinstance(node, ConvTranspose) else 1
        low, high = np.tile(low, repeat), np.tile(high, repeat)
        return _with_bias(low, high, bias)

    def _product(self, a: Node, b: Node, bias: Node | None, node: Node) -> Interval:
        weights = constant_integers(b)
        if weights is not None:
            lo, hi = self.centred(a)
            low, high = _sums(weights, lo, hi, (weights.ndim - 2,))
            return _with_bias(low.reshape(-1, low.shape[-1]), high, bias)
        inner = a.type.shape[-1]
        assert isinstance(inner, int)
        reach = self.magnitude(a) * self.magnitude(b) * inner
        return _with_bias(np.array([-reach]), np.array([reach]), bias)


def _sums(
    w: NDArray[Any], lo: int, hi: int, axes: tuple[int, ...]
) -> tuple[NDArray[Any], NDArray[Any]]:
    positive = np.maximum(w, 0).sum(axes, np.int64)
    negative = np.minimum(w, 0).sum(axes, np.int64)
    return positive * lo + negative * hi, positive * hi + negative * lo


def _with_bias(low: NDArray[Any], high: NDArray[Any], bias: Node | None) -> Interval:
    if isinstance(bias, Const):
        added = np.asarray(bias.array).astype(np.int64)
        low, high = low + added, high + added
    return int(low.min()), int(high.max())


def _extent(values: NDArray[Any]) -> Interval:
    return (0, 0) if values.size == 0 else (int(values.min()), int(values.max()))
