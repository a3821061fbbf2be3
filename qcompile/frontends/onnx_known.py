"""What is known of a value when the model is read: integers, and expressions of open lengths."""

from __future__ import annotations

import operator
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.ir.dims import Symbol, is_static, static
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add, Binary, Div, Equal, Maximum, Minimum, Mul, Sub, Where
from qcompile.ir.ops.pointwise import Cast
from qcompile.ir.ops.reduce import ReduceProd
from qcompile.ir.ops.shape import Concat, Expand, Gather, Reshape, ShapeOf, Slice
from qcompile.ir.ops.source import Const
from qcompile.ir.types import Scalar

SMALL = 4096
Values = NDArray[Any]  # of Python integers, truth values and symbols


class Known:
    """The integer contents of nodes, as far as they follow from the shapes."""

    def __init__(self) -> None:
        self._found: dict[Node, Values | None] = {}

    def of(self, node: Node) -> Values | None:
        """An array of `int | bool | Symbol`, or None when some element is not known."""
        if node not in self._found:
            self._found[node] = self._work_out(node)
        return self._found[node]

    def whole(self, node: Node) -> Values | None:
        """The contents as numbers of the node's element format, or None when one is open."""
        values = self.of(node)
        if values is None or any(isinstance(v, Symbol) for v in values.reshape(-1)):
            return None
        return values.astype(node.type.elem.storage)

    def _work_out(self, node: Node) -> Values | None:
        if node.type.elem.is_float or node.type.unit is not None:
            return None
        match node:
            case Const():
                small = prod(node.data.shape) <= SMALL
                return node.array.astype(object) if small else None
            case ShapeOf(x=x):
                return _objects(list(x.type.shape))
            case Binary() | Where():
                return self._pointwise(node)
            case _:
                return self._moved(node)

    def _moved(self, node: Node) -> Values | None:
        """What only moves elements, or multiplies them all."""
        parts = [self.of(o) for o in node.operands]
        known = [p for p in parts if p is not None]
        if not known or len(known) != len(parts):
            return None
        return _rearranged(node, known)

    def _pointwise(self, node: Node) -> Values | None:
        parts = [self.of(o) for o in node.operands]
        if type(node) not in _POINTWISE:
            return None
        known = [p for p in parts if p is not None]
        if len(known) != len(parts):
            return None
        spread = np.broadcast_arrays(*known)
        function = _POINTWISE[type(node)]
        try:
            flat = [function(*v) for v in zip(*(s.reshape(-1) for s in spread), strict=True)]
        except (_Open, ArithmeticError):
            return None
        return _objects(flat).reshape(spread[0].shape)


class _Open(Exception):
    """The answer depends on an open length."""


def _objects(values: Any) -> Values:
    return np.asarray(values, dtype=object)


def _rearranged(node: Node, parts: list[Values]) -> Values | None:
    x = parts[0]
    match node:
        case Cast(x=source, to=to) if _harmless(source.type.elem, to):
            return x
        case Reshape(shape=shape) if is_static(shape):
            return x.reshape(static(shape))
        case Expand(shape=shape) if is_static(shape) and prod(static(shape)) <= SMALL:
            return np.broadcast_to(x, np.broadcast_shapes(x.shape, static(shape)))
        case Gather(axis=axis):
            return _objects(np.take(x, parts[1].astype(np.int64), axis))
        case Concat(axis=axis):
            return np.concatenate(parts, axis)
        case Slice():
            return node.evaluate(x)
        case ReduceProd(axes=axes, keepdims=keepdims):
            return _objects(np.multiply.reduce(x, axis=axes, keepdims=keepdims))
        case _:
            return None


def _harmless(old: Scalar, new: Scalar) -> bool:
    return old.is_integer and new.is_integer and new.bits >= 32


def _divide(a: Any, b: Any) -> Any:
    if isinstance(a, Symbol):
        return a // b
    if isinstance(b, Symbol):
        raise _Open
    quotient = abs(a) // abs(b)
    return quotient if (a >= 0) == (b >= 0) else -quotient


def _equal(a: Any, b: Any) -> bool:
    if a == b:
        return True
    opens = [v for v in (a, b) if isinstance(v, Symbol)]
    numbers: list[int] = [v for v in (a, b) if not isinstance(v, Symbol)]
    if opens and not any(n < 0 for n in numbers):  # a length is never negative
        raise _Open
    return False


def _choose(condition: Any, a: Any, b: Any) -> Any:
    if isinstance(condition, Symbol):
        raise _Open
    return a if condition else b


def _ordered(function: Callable[[int, int], int]) -> Callable[[Any, Any], Any]:
    def apply(a: Any, b: Any) -> Any:
        if a == b:
            return a
        if isinstance(a, Symbol) or isinstance(b, Symbol):
            raise _Open
        return function(a, b)

    return apply


_POINTWISE: dict[type[Node], Callable[..., Any]] = {
    Add: operator.add,
    Sub: operator.sub,
    Mul: operator.mul,
    Div: _divide,
    Minimum: _ordered(min),
    Maximum: _ordered(max),
    Equal: _equal,
    Where: _choose,
}
