"""What a kernel computes for one element: a small expression language, plain data.

Integer expressions are i32 unless they say otherwise and carry the bounds that are proven for
them; a generator may use any arithmetic that is exact within these bounds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

INT32 = (-(1 << 31), (1 << 31) - 1)


@dataclass(frozen=True, slots=True)
class Expr:
    """A value per element; `lo` and `hi` are proven bounds (of no meaning for floats)."""

    lo: int
    hi: int
    elem: str

    @property
    def is_float(self) -> bool:
        """A float32 value."""
        return self.elem == "f32"


@dataclass(frozen=True, slots=True)
class Acc(Expr):
    """The result of the nest's reduction."""


@dataclass(frozen=True, slots=True)
class Load(Expr):
    """The element that view number `view` shows at this place, widened to `elem`."""

    view: int


@dataclass(frozen=True, slots=True)
class Imm(Expr):
    """A number."""

    value: float


@dataclass(frozen=True, slots=True)
class Binary(Expr):
    """a `op` b: add sub mul div min max and or xor lt le gt ge eq."""

    op: str
    a: Expr
    b: Expr


@dataclass(frozen=True, slots=True)
class Unary(Expr):
    """op(x): a float function, `not`, `neg`, `abs`."""

    op: str
    x: Expr


@dataclass(frozen=True, slots=True)
class Convert(Expr):
    """x as another element: integers to float rounded to nearest even, floats truncated."""

    x: Expr


@dataclass(frozen=True, slots=True)
class Select(Expr):
    """a where the condition is not 0, else b."""

    condition: Expr
    a: Expr
    b: Expr


@dataclass(frozen=True, slots=True)
class Rescale(Expr):
    """clip((x · m + 2^(shift−1) >> shift) + plus, lo, hi), the product in 64 bits, half up.

    `paired`: m is a view of i64 that holds each register's even lanes, then its odd lanes.
    `word`: the caller proves that all of it fits i32.
    """

    x: Expr
    m: Expr
    shift: int
    plus: int
    paired: bool = False
    word: bool = False


@dataclass(frozen=True, slots=True)
class Lookup(Expr):
    """table[x − first], the table being view number `view`."""

    x: Expr
    view: int
    first: int


@dataclass(frozen=True, slots=True)
class Snap(Expr):
    """clip(round_half_even(x / scale) + zero, lo, hi) of a float x; NaN gives zero."""

    x: Expr
    scale: Expr
    zero: int


@dataclass(frozen=True, slots=True)
class Dot(Expr):
    """One step of a sum of products: x's group of bytes times the weights'; x may be signed."""

    x: int
    w: int
    signed: bool


def load(view: int, elem: str, *, lo: int = INT32[0], hi: int = INT32[1]) -> Load:
    """A load, widened to i32, or f32, or as it is."""
    return Load(lo, hi, elem, view)


def imm(value: float, elem: str = "i32") -> Imm:
    """A constant."""
    whole = int(value) if elem != "f32" else 0
    return Imm(whole, whole, elem, value)


def add(a: Expr, b: Expr) -> Expr:
    """a + b."""
    if isinstance(b, Imm) and b.value == 0:
        return a
    return Binary(a.lo + b.lo, a.hi + b.hi, a.elem, "add", a, b)


def sub(a: Expr, b: Expr) -> Expr:
    """a − b."""
    if isinstance(b, Imm) and b.value == 0:
        return a
    return Binary(a.lo - b.hi, a.hi - b.lo, a.elem, "sub", a, b)


def mul(a: Expr, b: Expr) -> Expr:
    """a · b."""
    corners = [x * y for x in (a.lo, a.hi) for y in (b.lo, b.hi)]
    return Binary(min(corners), max(corners), a.elem, "mul", a, b)


def clip(x: Expr, lo: int, hi: int) -> Expr:
    """min(max(x, lo), hi), leaving out what the bounds prove."""
    if x.lo < lo:
        x = Binary(lo, max(x.hi, lo), x.elem, "max", x, imm(lo, x.elem))
    if x.hi > hi:
        x = Binary(min(x.lo, hi), hi, x.elem, "min", x, imm(hi, x.elem))
    return x


def parts(x: Expr) -> Iterator[Expr]:
    """The expression and all that it is made of."""
    yield x
    for field in fields(x):
        value = getattr(x, field.name)
        if isinstance(value, Expr):
            yield from parts(value)
