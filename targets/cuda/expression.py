"""Expressions → CUDA statements for one lane: 32-bit arithmetic where the bounds prove it.

What is used twice is computed once, under a name; what is used once and short stands where it is
used. Floats are rounded after each operation, as the interpreter rounds them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from math import frexp

import numpy as np

from qcompile.targets.cuda.formats import RANGES, kind
from qcompile.targets.cuda.holding import largest, scaled_range
from qcompile.targets.cuda.text import bare, converted, is_compound, literal, plus
from qcompile.targets.loops import expr as e

INT64_MAX = (1 << 63) - 1
LENGTH = 48  # characters of an expression that need no name
_INFIX: Mapping[str, str] = {
    "add": "+", "sub": "-", "mul": "*", "and": "&", "or": "|", "xor": "^", "shl": "<<",
    "shr": ">>", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==",
}  # fmt: skip
_TESTS = ("lt", "le", "gt", "ge", "eq")
_FLOAT_PAIRS: Mapping[str, str] = {
    "add": "__fadd_rn", "sub": "__fsub_rn", "mul": "__fmul_rn", "div": "__fdiv_rn",
    "min": "fminf", "max": "fmaxf", "pow": "powf",
}  # fmt: skip
_FLOAT_FUNCTIONS: Mapping[str, str] = {
    "exp": "expf", "log": "logf", "sqrt": "__fsqrt_rn", "tanh": "tanhf", "erf": "erff",
    "sin": "sinf", "cos": "cosf", "floor": "floorf", "ceil": "ceilf", "round": "rintf",
    "abs": "fabsf",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sources:
    """What a lane's expressions refer to, as text.

    `load` and `element` take a view's number; the latter reads at an index beyond its place.
    `apart`: some lanes hold nothing, so that an index may be anything.
    """

    load: Callable[[int], str]
    element: Callable[[int, str], str]
    view_elem: Callable[[int], str]
    acc: str
    apart: bool


class Lane:
    """The statements that compute some expressions, in order."""

    def __init__(self, sources: Sources, roots: tuple[e.Expr, ...]) -> None:
        self.sources = sources
        self.lines: list[str] = []
        self._numbers: dict[object, int] = {}
        self._known: dict[int, tuple[e.Expr, int]] = {}
        self._texts: dict[int, str] = {}
        self._uses: dict[int, int] = {}
        for root in roots:
            self._use(root)

    def value(self, x: e.Expr) -> str:
        """An operand that stands for x: a name, a number or a short expression."""
        number = self._number(x)
        if number not in self._texts:
            text = self._text(x)
            shared = self._uses[number] > 1 or len(text) > LENGTH
            if shared and is_compound(text) and not isinstance(x, e.Imm):
                name = f"t{len(self.lines)}"
                self.lines.append(f"const {kind(x.elem)} {name} = {bare(text)};")
                text = name
            self._texts[number] = text
        return self._texts[number]

    def bare(self, x: e.Expr) -> str:
        """As `value`, without parentheses around it."""
        return bare(self.value(x))

    def result(self, x: e.Expr) -> str:
        """As `bare`, for what is assigned: of any length."""
        number = self._number(x)
        if self._uses[number] == 1 and number not in self._texts:
            return bare(self._text(x))
        return self.bare(x)

    # sharing

    def _use(self, x: e.Expr) -> None:
        number = self._number(x)
        self._uses[number] = self._uses.get(number, 0) + 1
        if self._uses[number] == 1:
            for part in _parts(x):
                self._use(part)

    def _number(self, x: e.Expr) -> int:
        """Equal expressions have one number."""
        known = self._known.get(id(x))
        if known is None:
            key = (type(x), *(self._field(getattr(x, f.name)) for f in fields(x)))
            known = (x, self._numbers.setdefault(key, len(self._numbers)))
            self._known[id(x)] = known
            self._uses.setdefault(known[1], 0)
        return known[1]

    def _field(self, value: object) -> object:
        if isinstance(value, e.Expr):
            return ("number", self._number(value))
        return repr(value)

    # texts

    def _text(self, x: e.Expr) -> str:
        match x:
            case e.Acc():
                return self.sources.acc
            case e.Imm(elem=elem, value=value):
                return literal(value, elem)
            case e.Load(elem=elem, view=view):
                text = self.sources.load(view)
                return converted(text, kind(self.sources.view_elem(view)), kind(elem))
            case e.Binary():
                return self._binary(x)
            case e.Unary():
                return self._unary(x)
            case e.Select(condition=condition, a=a, b=b):
                return f"({self.value(condition)} ? {self.value(a)} : {self.value(b)})"
            case _:
                return self._computed(x)

    def _computed(self, x: e.Expr) -> str:
        match x:
            case e.Convert(elem=elem, x=inner):
                return self._convert(inner, elem)
            case e.Lookup(elem=elem, x=inner, view=view, first=first):
                text = self.sources.element(view, self._index(inner, first))
                return converted(text, kind(self.sources.view_elem(view)), kind(elem))
            case e.Snap():
                return self._snap(x)
            case e.Rescale(paired=False):
                return self._rescale(x)
            case _:
                raise AssertionError(f"no CUDA text for {x}")

    def _convert(self, x: e.Expr, elem: str) -> str:
        text = converted(self.value(x), kind(x.elem), kind(elem))
        narrow = elem in ("u8", "i8", "u16", "i16") and not _within(x, *RANGES[elem])
        return f"({'u' if elem[0] == 'u' else ''}int{elem[1:]}_t){text}" if narrow else text

    def _binary(self, x: e.Binary) -> str:
        if x.a.is_float:
            return self._float_pair(x)
        a, b = self.value(x.a), self.value(x.b)
        match x.op:
            case "min" | "max":
                return f"{x.op}({bare(a)}, {bare(b)})"
            case "div" if isinstance(x.b, e.Imm) and x.b.value > 0:
                return f"({a} / {b})"
            case "div":
                return f"qc::quotient({bare(a)}, {bare(b)})"
            case "add" if isinstance(x.b, e.Imm) and x.b.value < 0:
                return f"({a} - {literal(-x.b.value, x.b.elem)})"
            case "sub" if isinstance(x.b, e.Imm) and x.b.value < 0:
                return f"({a} + {literal(-x.b.value, x.b.elem)})"
            case _:
                return f"({a} {_INFIX[x.op]} {b})"

    def _float_pair(self, x: e.Binary) -> str:
        a, b = self.value(x.a), self.value(x.b)
        if x.op in _TESTS:
            return f"({a} {_INFIX[x.op]} {b})"
        return f"{_FLOAT_PAIRS[x.op]}({bare(a)}, {bare(b)})"

    def _unary(self, x: e.Unary) -> str:
        inner = self.value(x.x)
        match x.op:
            case "not":
                return f"(1 - {inner})"
            case "neg":
                return f"__fsub_rn(0.0f, {bare(inner)})" if x.is_float else f"(0 - {inner})"
            case "abs" if not x.is_float:
                return f"abs({bare(inner)})"
            case _:
                return f"{_FLOAT_FUNCTIONS[x.op]}({bare(inner)})"

    def _index(self, x: e.Expr, first: int) -> str:
        """Where a table is read; held to its entries where a lane may hold nothing."""
        text = self.value(x)
        if self.sources.apart and not isinstance(x, e.Load | e.Snap):
            text = f"max({literal(x.lo)}, min({literal(x.hi)}, {bare(text)}))"
        return f"{text} - {first}" if first > 0 else f"{text} + {-first}" if first else text

    def _snap(self, x: e.Snap) -> str:
        steps = f"__fdiv_rn({self.bare(x.x)}, {self.bare(x.scale)})"
        inverse = _inverse(x.scale)
        if inverse is not None:  # exact, so the quotient and the product are rounded alike
            steps = f"__fmul_rn({self.bare(x.x)}, {literal(inverse, 'f32')})"
        text = f"qc::whole({steps}, {x.lo - x.zero}, {x.hi - x.zero})"
        return f"({text} + {x.zero})" if x.zero > 0 else f"({text} - {-x.zero})" if x.zero else text

    def _rescale(self, x: e.Rescale) -> str:
        value, m = self.value(x.x), self.value(x.m)
        half = (1 << x.shift) >> 1
        addend = half + (x.plus << x.shift)
        between = scaled_range(x)
        raised = _raised(x)
        if between is not None and raised:
            high = addend << (32 - x.shift)
            text = f"qc::rescale<32>({bare(value)}, {raised}, {high}ll)"
        elif x.word or _fits_word(x, addend):
            low = largest(x) + abs(addend) <= e.INT32[1]
            text = f"{value} * {m}{plus(addend if low else half)}"
            text = f"({text}) >> {x.shift}" if x.shift else text
            text = f"({text})" if low else f"(({text}){plus(x.plus)})"
        elif between is None or largest(x) + abs(addend) > INT64_MAX:
            operands = f"{bare(value)}, {bare(m)}, {x.plus}, {literal(x.lo)}, {literal(x.hi)}"
            return f"qc::rescale_wide<{x.shift}>({operands})"
        else:
            text = f"qc::rescale<{x.shift}>({bare(value)}, {bare(m)}, {addend}ll)"
        return _clipped(text, between or e.INT32, x.lo, x.hi)


def _clipped(text: str, between: tuple[int, int], lo: int, hi: int) -> str:
    if between[1] > hi:
        text = f"min({bare(text)}, {literal(hi)})"
    if between[0] < lo:
        text = f"max({bare(text)}, {literal(lo)})"
    return text


def _raised(x: e.Rescale) -> int:
    """The factor with which the result is the high word of a product, one instruction; or 0."""
    if not isinstance(x.m, e.Imm) or not 0 < x.shift < 32:
        return 0
    raised = int(x.m.value) << (32 - x.shift)
    return raised if abs(raised) <= e.INT32[1] else 0


def ends_in_shift(x: e.Expr) -> bool:
    """Whether x is a word shifted, which one instruction does together with an addition."""
    if not isinstance(x, e.Rescale) or is_high_word(x) or not 0 < x.shift < 32:
        return False
    return x.word or _fits_word(x, ((1 << x.shift) >> 1) + (x.plus << x.shift))


def is_high_word(x: e.Rescale) -> bool:
    """Whether one instruction does it."""
    return scaled_range(x) is not None and _raised(x) != 0


def _fits_word(x: e.Rescale, addend: int) -> bool:
    return x.shift < 32 and largest(x) + abs(addend) <= e.INT32[1]


def _within(x: e.Expr, lo: int, hi: int) -> bool:
    return not x.is_float and x.elem != "i64" and lo <= x.lo and x.hi <= hi


def _inverse(scale: e.Expr) -> float | None:
    """1 / scale where that is exact: the scale is a power of two, far from the ends."""
    if not isinstance(scale, e.Imm):
        return None
    mantissa, exponent = frexp(float(np.float32(scale.value)))
    return 1 / scale.value if mantissa == 0.5 and abs(exponent) < 100 else None


def _parts(x: e.Expr) -> tuple[e.Expr, ...]:
    values = (getattr(x, f.name) for f in fields(x))
    return tuple(v for v in values if isinstance(v, e.Expr))
