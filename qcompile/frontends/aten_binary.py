"""Functions of two or three values, element by element, with torch's promotion of types."""

from __future__ import annotations

from qcompile.frontends.aten_call import Call, Family, Operand, Refusal, Translator, common, operand
from qcompile.ir.node import Node
from qcompile.ir.ops import binary as b
from qcompile.ir.ops.pointwise import Ceil, Floor, Not, Reciprocal, Sqrt
from qcompile.ir.ops.source import Const
from qcompile.ir.types import BOOL


def _promoted(make: type[b.Binary]) -> Translator:
    """make(x, y), both in the result's format."""

    def translate(call: Call, x: Operand, y: Operand) -> Node:
        return make(operand(x, call.elem), operand(y, call.elem))

    return translate


def _compared(make: type[b.Binary]) -> Translator:
    """make(x, y), both in their common format."""

    def translate(call: Call, x: Operand, y: Operand) -> Node:
        elem = common(x, y)
        return make(operand(x, elem), operand(y, elem))

    return translate


def _logical(make: type[b.Binary]) -> Translator:
    """make(x, y) on truth values."""

    def translate(call: Call, x: Operand, y: Operand) -> Node:
        return make(operand(x, BOOL), operand(y, BOOL))

    return translate


def _bitwise(make: type[b.Binary]) -> Translator:
    """make(x, y), which is the logical function on truth values only."""

    def translate(call: Call, x: Operand, y: Operand) -> Node:
        if call.elem != BOOL:
            raise Refusal(f"on {call.elem}")
        return make(operand(x, BOOL), operand(y, BOOL))

    return translate


def _add(call: Call, x: Operand, y: Operand, alpha: float = 1) -> Node:
    if call.elem == BOOL:
        return b.Or(operand(x, BOOL), operand(y, BOOL))
    return b.Add(operand(x, call.elem), _times(call, y, alpha))


def _sub(call: Call, x: Operand, y: Operand, alpha: float = 1) -> Node:
    return b.Sub(operand(x, call.elem), _times(call, y, alpha))


def _rsub(call: Call, x: Operand, y: Operand, alpha: float = 1) -> Node:
    return b.Sub(operand(y, call.elem), _times(call, x, alpha))


def _times(call: Call, x: Operand, alpha: float) -> Node:
    value = operand(x, call.elem)
    return value if alpha == 1 else b.Mul(value, operand(alpha, call.elem))


def _mul(call: Call, x: Operand, y: Operand) -> Node:
    make = b.And if call.elem == BOOL else b.Mul
    return make(operand(x, call.elem), operand(y, call.elem))


def _div(call: Call, x: Operand, y: Operand, *, rounding_mode: str | None = None) -> Node:
    dividend, divisor = operand(x, call.elem), operand(y, call.elem)
    if rounding_mode == "floor" and not call.elem.is_float:
        return b.Div(b.Sub(dividend, b.Mod(dividend, divisor)), divisor)
    quotient = b.Div(dividend, divisor)
    if rounding_mode is None or not call.elem.is_float:
        return quotient
    if rounding_mode == "floor":
        return Floor(quotient)
    return b.Where(b.Less(quotient, operand(0, call.elem)), Ceil(quotient), Floor(quotient))


def _floor_divide(call: Call, x: Operand, y: Operand) -> Node:
    return _div(call, x, y, rounding_mode="floor")


def _remainder(call: Call, x: Operand, y: Operand) -> Node:
    """x − y·⌊x/y⌋."""
    dividend, divisor = operand(x, call.elem), operand(y, call.elem)
    if not call.elem.is_float:
        return b.Mod(dividend, divisor)
    return b.Sub(dividend, b.Mul(divisor, Floor(b.Div(dividend, divisor))))


def _fmod(call: Call, x: Operand, y: Operand) -> Node:
    """x − y·trunc(x/y)."""
    dividend, divisor = operand(x, call.elem), operand(y, call.elem)
    if call.elem.is_float:
        return b.Mod(dividend, divisor)
    return b.Sub(dividend, b.Mul(divisor, b.Div(dividend, divisor)))


def _pow(call: Call, x: Operand, y: Operand) -> Node:
    base = operand(x, call.elem)
    match y.array.item() if isinstance(y, Const) and y.type.rank == 0 else y:
        case 1:
            return base
        case 2:
            return b.Mul(base, base)
        case 0.5:
            return Sqrt(base)
        case -1 if call.elem.is_float:
            return Reciprocal(base)
        case -0.5:
            return Reciprocal(Sqrt(base))
        case _:
            return b.Pow(base, operand(y, call.elem))


def _not_equal(call: Call, x: Operand, y: Operand) -> Node:
    elem = common(x, y)
    return Not(b.Equal(operand(x, elem), operand(y, elem)))


def _where(call: Call, condition: Node, x: Operand, y: Operand) -> Node:
    return b.Where(operand(condition, BOOL), operand(x, call.elem), operand(y, call.elem))


def _masked_fill(call: Call, x: Node, mask: Node, value: Operand) -> Node:
    return _where(call, mask, value, x)


def _addcmul(call: Call, x: Node, y: Node, z: Node, *, value: float = 1) -> Node:
    return b.Add(x, _times(call, b.Mul(y, z), value))


def _addcdiv(call: Call, x: Node, y: Node, z: Node, *, value: float = 1) -> Node:
    return b.Add(x, _times(call, b.Div(y, z), value))


def _lerp(call: Call, start: Node, end: Node, weight: Operand) -> Node:
    return b.Add(start, b.Mul(operand(weight, call.elem), b.Sub(end, start)))


BINARY: Family = {
    "add": _add,
    "sub": _sub,
    "rsub": _rsub,
    "mul": _mul,
    "div": _div,
    "true_divide": _div,
    "floor_divide": _floor_divide,
    "remainder": _remainder,
    "fmod": _fmod,
    "pow": _pow,
    "minimum": _promoted(b.Minimum),
    "maximum": _promoted(b.Maximum),
    "min.other": _promoted(b.Minimum),
    "max.other": _promoted(b.Maximum),
    "eq": _compared(b.Equal),
    "ne": _not_equal,
    "lt": _compared(b.Less),
    "le": _compared(b.LessOrEqual),
    "gt": _compared(b.Greater),
    "ge": _compared(b.GreaterOrEqual),
    "logical_and": _logical(b.And),
    "logical_or": _logical(b.Or),
    "logical_xor": _logical(b.Xor),
    "bitwise_and": _bitwise(b.And),
    "bitwise_or": _bitwise(b.Or),
    "bitwise_xor": _bitwise(b.Xor),
    "__and__": _bitwise(b.And),
    "__or__": _bitwise(b.Or),
    "where.self": _where,
    "where.ScalarSelf": _where,
    "where.ScalarOther": _where,
    "where.Scalar": _where,
    "masked_fill": _masked_fill,
    "addcmul": _addcmul,
    "addcdiv": _addcdiv,
    "lerp": _lerp,
}
