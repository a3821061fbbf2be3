"""Pointwise nodes → expressions, shared by every kind of nest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.analysis.bounds import Bounds
from qcompile.errors import NotLegal
from qcompile.ir.node import Node
from qcompile.ir.ops import binary as b
from qcompile.ir.ops import pointwise as p
from qcompile.ir.ops.integer import Lut, Requantize
from qcompile.ir.ops.norm import BatchNorm
from qcompile.ir.ops.quant import Dequantize, Quantize
from qcompile.ir.ops.source import Const
from qcompile.ir.types import Scalar, TensorType
from qcompile.targets.loops import expr as e
from qcompile.targets.loops.draft import Draft, Value
from qcompile.targets.loops.real import unary
from qcompile.targets.loops.rescaling import rescaled

FLOAT_BOUND = 1 << 25
_ARITHMETIC: Mapping[type[Node], str] = {
    b.Add: "add", b.Sub: "sub", b.Mul: "mul", b.Div: "div", b.Minimum: "min", b.Maximum: "max",
    b.Pow: "pow", b.And: "and", b.Or: "or", b.Xor: "xor", b.Equal: "eq", b.Less: "lt",
    b.LessOrEqual: "le", b.Greater: "gt", b.GreaterOrEqual: "ge", b.Mod: "mod",
}  # fmt: skip


@dataclass
class Chain:
    """Turns the pointwise members of one group into expressions of a draft."""

    draft: Draft
    values: Mapping[Node, Value]
    members: frozenset[Node]
    bounds: Bounds
    paired: bool
    done: dict[Node, e.Expr] = field(default_factory=dict[Node, e.Expr])

    def expr(self, node: Node) -> e.Expr:
        """The node's element; what is not a member is read from memory."""
        if node not in self.done:
            self.done[node] = self._make(node)
        return self.done[node]

    def _make(self, node: Node) -> e.Expr:
        if isinstance(node, Const):
            return self._constant(node)
        if node not in self.members:
            return self._read(node)
        if node.type.unit is not None or isinstance(node, Quantize | Dequantize | b.Mul):
            made = self._quantized(node)
            if made is not None:
                return made
        return self._plain(node)

    def _quantized(self, node: Node) -> e.Expr | None:
        """What is particular to integers that stand for reals."""
        match node:
            case Requantize():
                return self._requantize(node)
            case Lut():
                return self._lut(node)
            case Quantize():
                return self._quantize(node)
            case Dequantize():
                steps = self._centred(node.x)
                return e.mul(e.Convert(0, 0, "f32", steps), self._scale(node.x.type))
            case p.Relu(x=x) if x.type.unit is not None:
                return e.clip(self.expr(x), x.type.unit.zero_point[0], e.INT32[1])
            case b.Mul(a=a, b=c) if a.type.unit is not None and c.type.unit is not None:
                return e.mul(self._centred(a), self._centred(c))
            case _:
                return None

    def _plain(self, node: Node) -> e.Expr:
        match node:
            case p.Cast(x=x, to=to):
                return self._cast(self.expr(x), x.type.elem, to)
            case p.Unary(x=x):
                return unary(node, self.expr(x))
            case BatchNorm():
                return self._normalized(node)
            case b.Prelu(x=x, slope=slope):
                value = self.expr(x)
                below = e.mul(value, self.expr(slope))
                return _select(_compare("ge", value, e.imm(0, "f32")), value, below)
            case b.Where(condition=condition, a=a, b=c):
                return _select(self.expr(condition), self.expr(a), self.expr(c))
            case b.Binary(a=a, b=c) if type(node) in _ARITHMETIC:
                return self._binary(node, a, c)
            case _:
                raise NotLegal(f"{node}: no kernel for {node.op}")

    def _normalized(self, node: BatchNorm) -> e.Expr:
        """(x - mean) * (gamma / sqrt(var + eps)) + beta, the quotient worked out here."""
        gamma, beta, mean, var = (
            np.asarray(o.array) for o in node.operands[1:] if isinstance(o, Const)
        )
        scale = gamma / np.sqrt(var + var.dtype.type(node.eps))
        spread = (1, -1, *(1,) * (node.type.rank - 2))
        m, s, c = (
            self.draft.constant(self._spread(a.astype(np.float32).reshape(spread)), "f32")
            for a in (mean, scale, beta)
        )
        return e.add(e.mul(e.sub(self.expr(node.x), m), s), c)

    def _read(self, node: Node) -> e.Expr:
        loaded = self.draft.read(self.values[node], _shape(node.type))
        if node.type.unit is None:
            return loaded
        lo, hi = self.bounds.of(node)
        return e.load(loaded.view, loaded.elem, lo=max(lo, loaded.lo), hi=min(hi, loaded.hi))

    def _binary(self, node: b.Binary, a: Node, c: Node) -> e.Expr:
        op = _ARITHMETIC[type(node)]
        left, right = _alike(self.expr(a), self.expr(c))
        if isinstance(node, b.Comparison):
            return _compare(op, left, right)
        if op == "mod":
            if left.is_float:
                raise NotLegal(f"{node}: no kernel takes the remainder of reals")
            return _remainder(left, right)
        match op:
            case "add" | "sub":
                total = e.add(left, right) if op == "add" else e.sub(left, right)
                return _held(total)
            case "mul":
                return e.mul(left, right)
            case _:
                lo, hi = min(left.lo, right.lo), max(left.hi, right.hi)
                return e.Binary(lo, hi, left.elem, op, left, right)

    def _constant(self, node: Const) -> e.Expr:
        array = np.asarray(node.array)
        elem = node.type.elem.name
        if elem == "i64":
            array, elem = array.astype(np.int32), "i32"
        if array.size == 1:
            number = array.reshape(())
            return e.imm(float(number), "f32") if elem == "f32" else e.imm(int(number))
        loaded = self.draft.constant(array, stored(node.type.elem))
        if elem == "f32":
            return loaded
        return e.load(loaded.view, "i32", lo=int(array.min()), hi=int(array.max()))

    def _centred(self, node: Node) -> e.Expr:
        """q − zero_point."""
        unit = node.type.unit
        assert unit is not None
        value = self.expr(node)
        if len(set(unit.zero_point)) == 1:
            return e.sub(value, e.imm(unit.zero_point[0]))
        zeros = unit.zero_points(node.type.rank).astype(np.int32)
        loaded = self.draft.constant(self._spread(zeros), "i32")
        lo, hi = int(zeros.min()), int(zeros.max())
        return e.sub(value, e.load(loaded.view, "i32", lo=lo, hi=hi))

    def _scale(self, kind: TensorType) -> e.Expr:
        assert kind.unit is not None
        scales = kind.unit.scales(kind.rank).astype(np.float32)
        if scales.size == 1:
            return e.imm(float(scales.reshape(())), "f32")
        return self.draft.constant(self._spread(scales), "f32")

    def _spread(self, array: NDArray[Any]) -> NDArray[Any]:
        lead = len(self.draft.shape) - array.ndim
        return array.reshape((1,) * lead + array.shape)

    def _requantize(self, node: Requantize) -> e.Expr:
        return rescaled(
            self._centred(node.x),
            self._spread(node.spread()),
            node.numbers.shift,
            plus=node.unit.zero_point[0],
            lo=node.lo,
            hi=node.hi,
            draft=self.draft,
            paired=self.paired,
        )

    def _lut(self, node: Lut) -> e.Expr:
        assert isinstance(node.table, Const)
        table = np.asarray(node.table.array)
        elem = stored(node.table.elem)
        zeros = (0,) * len(self.draft.shape)
        number = self.draft.view(self.draft.weights.put(table), elem, zeros)
        lo, hi = int(table.min()), int(table.max())
        return e.Lookup(lo, hi, "i32", self.expr(node.x), number, node.x.type.elem.lo)

    def _quantize(self, node: Quantize) -> e.Expr:
        if not node.unit.per_tensor:
            raise NotLegal(f"{node}: quantizes with one scale only")
        zero = node.unit.zero_point[0]
        lo = max(node.elem.lo, zero - FLOAT_BOUND)
        hi = min(node.elem.hi, zero + FLOAT_BOUND)
        scale = e.imm(float(np.float32(node.unit.scale[0])), "f32")
        return e.Snap(lo, hi, "i32", self.expr(node.x), scale, zero)

    def _cast(self, x: e.Expr, source: Scalar, to: Scalar) -> e.Expr:
        if to.name == "bool":
            return e.Unary(0, 1, "i32", "not", _compare("eq", x, e.imm(0, x.elem)))
        if to.name == "f32":
            return x if source.is_float else e.Convert(0, 0, "f32", x)
        if to.name not in ("i32", "i64", "u8", "i8"):
            raise NotLegal(f"no kernel casts {source} to {to}")
        return x if not source.is_float else e.Convert(*e.INT32, "i32", x)


def _remainder(a: e.Expr, c: e.Expr) -> e.Expr:
    """a - c * floor(a / c) of integers, by way of the quotient toward zero."""

    def pair(op: str, x: e.Expr, y: e.Expr) -> e.Expr:
        return e.Binary(*e.INT32, a.elem, op, x, y)

    rest = pair("sub", a, pair("mul", c, pair("div", a, c)))
    nothing = e.imm(0, a.elem)
    apart = e.Binary(0, 1, "i32", "lt", pair("xor", rest, c), nothing)
    some = e.Unary(0, 1, "i32", "not", e.Binary(0, 1, "i32", "eq", rest, nothing))
    wrong = e.Binary(0, 1, "i32", "and", apart, some)
    return e.Select(*e.INT32, a.elem, wrong, pair("add", rest, c), rest)


def _alike(a: e.Expr, c: e.Expr) -> tuple[e.Expr, e.Expr]:
    """Both in 64 bits when one is."""
    if a.elem == c.elem or "i64" not in (a.elem, c.elem):
        return a, c
    both = (x if x.elem == "i64" else e.Convert(x.lo, x.hi, "i64", x) for x in (a, c))
    left, right = both
    return left, right


def _compare(op: str, a: e.Expr, c: e.Expr) -> e.Expr:
    return e.Binary(0, 1, "i32", op, a, c)


def _select(condition: e.Expr, a: e.Expr, c: e.Expr) -> e.Expr:
    return e.Select(min(a.lo, c.lo), max(a.hi, c.hi), a.elem, condition, a, c)


def _held(x: e.Expr) -> e.Expr:
    """The same sum with bounds cut to 32 bits: the graph's own proof says that it fits."""
    assert isinstance(x, e.Binary | e.Load | e.Acc | e.Rescale | e.Lookup | e.Imm | e.Select)
    if not isinstance(x, e.Binary) or x.is_float:
        return x
    return e.Binary(max(x.lo, e.INT32[0]), min(x.hi, e.INT32[1]), x.elem, x.op, x.a, x.b)


def stored(elem: Scalar) -> str:
    """The name of the storage format: i4 lies in i8."""
    if elem.is_float or elem.name == "bool":
        return elem.name
    return f"{'i' if elem.signed else 'u'}{elem.storage.itemsize * 8}"


def _shape(kind: TensorType) -> tuple[int, ...]:
    return tuple(d for d in kind.shape if isinstance(d, int))
