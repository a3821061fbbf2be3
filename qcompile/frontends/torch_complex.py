"""Torch's complex numbers as pairs of reals: planes of rotary embeddings are often written so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from qcompile.frontends.aten_call import Call, Refusal, axis_of, cut, operand, reshape
from qcompile.frontends.aten_ops import translator
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add, Mul, Sub
from qcompile.ir.ops.pointwise import Cos, Neg, Sin
from qcompile.ir.ops.shape import Concat


@dataclass(frozen=True)
class Complex:
    """real + i · imaginary, of one type."""

    real: Node
    imaginary: Node


def of_complex(
    operator: str, call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Node | Complex:
    """A call that takes or gives complex values; `call` has the type of a part of the result."""
    name = operator.partition(".")[2].partition(".")[0]
    if name in _OWN:
        return _OWN[name](call, *args)
    translate = translator(operator)
    if name not in _MOVES or translate is None:
        raise Refusal("of complex numbers")
    sides: list[Node] = []
    for side in ("real", "imaginary"):
        own = [_side(arg, side) for arg in args]
        moved = translate(call, *own, **kwargs)
        assert isinstance(moved, Node)
        sides.append(moved)
    return Complex(sides[0], sides[1])


_MOVES: Final = (
    "view", "reshape", "_unsafe_view", "unsqueeze", "squeeze", "permute", "transpose", "t",
    "expand", "slice", "select", "index", "index_select", "cat", "clone", "alias", "detach",
    "flatten", "unflatten",
)  # fmt: skip
"""What only moves values, and so moves both parts alike."""


def _side(value: Any, side: str) -> Any:
    match value:
        case Complex():
            return getattr(value, side)
        case list() | tuple():
            return [_side(part, side) for part in value]  # pyright: ignore[reportUnknownVariableType] - an operator's argument
        case _:
            return value


def _from_pairs(call: Call, x: Node) -> Complex:
    """The last axis holds real and imaginary part."""
    last = axis_of(x, -1)
    real, imaginary = (reshape(cut(x, last, i, i + 1), call.shape) for i in (0, 1))
    return Complex(real, imaginary)


def _to_pairs(call: Call, z: Complex) -> Node:
    shape = z.real.type.shape
    parts = tuple(reshape(part, (*shape, 1)) for part in (z.real, z.imaginary))
    return Concat(parts, len(shape))


def _mul(call: Call, a: Any, b: Any) -> Complex:
    match a, b:
        case Complex(), Complex():
            real = Sub(Mul(a.real, b.real), Mul(a.imaginary, b.imaginary))
            return Complex(real, Add(Mul(a.real, b.imaginary), Mul(a.imaginary, b.real)))
        case Complex(), _:
            factor = operand(b, call.elem)
            return Complex(Mul(a.real, factor), Mul(a.imaginary, factor))
        case _:
            return _mul(call, b, a)


def _add(call: Call, a: Any, b: Any) -> Complex:
    if not isinstance(a, Complex) or not isinstance(b, Complex):
        raise Refusal("of a complex number and a real one")
    return Complex(Add(a.real, b.real), Add(a.imaginary, b.imaginary))


def _polar(call: Call, size: Node, angle: Node) -> Complex:
    return Complex(Mul(size, Cos(angle)), Mul(size, Sin(angle)))


def _conjugate(call: Call, z: Complex) -> Complex:
    return Complex(z.real, Neg(z.imaginary))


def _of_parts(call: Call, real: Node, imaginary: Node) -> Complex:
    return Complex(real, imaginary)


def _real_part(call: Call, z: Complex) -> Node:
    return z.real


def _imaginary_part(call: Call, z: Complex) -> Node:
    return z.imaginary


_OWN: Final[Mapping[str, Callable[..., Node | Complex]]] = {
    "add": _add,
    "_conj": _conjugate,
    "_conj_physical": _conjugate,
    "complex": _of_parts,
    "imag": _imaginary_part,
    "mul": _mul,
    "polar": _polar,
    "real": _real_part,
    "view_as_complex": _from_pairs,
    "view_as_real": _to_pairs,
}
