"""Expressions → vector TIR: one register's worth of `Expr` at one place of a nest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from qcompile.targets.loops import expr as e
from qcompile.targets.tvm.functions import Register
from qcompile.targets.tvm.script import T, Tir, equal, unequal

NAMES = {
    "u8": "uint8",
    "i8": "int8",
    "bool": "uint8",
    "u16": "uint16",
    "i16": "int16",
    "i32": "int32",
    "i64": "int64",
    "f32": "float32",
}
BY_REALS = 1 << 50  # quotients up to here are found by doubles
_FUNCTIONS: dict[str, Callable[[Tir], Tir]] = {
    "sqrt": T.sqrt,
    "sin": T.sin,
    "cos": T.cos,
    "floor": T.floor,
    "ceil": T.ceil,
    "round": T.nearbyint,
    "abs": T.abs,
}
_FITTED: dict[str, Callable[[Register, Tir], Tir]] = {
    "exp": Register.exp,
    "log": Register.log,
    "tanh": Register.tanh,
    "erf": Register.erf,
}
_PAIRS: dict[str, Callable[[Tir, Tir], Tir]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "max": T.max,
    "min": T.min,
    "and": T.bitwise_and,
    "or": T.bitwise_or,
    "xor": T.bitwise_xor,
    "shl": T.shift_left,
    "shr": T.shift_right,
    "pow": T.pow,
}
_TESTS: dict[str, Callable[[Tir, Tir], Tir]] = {
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "eq": equal,
}


@dataclass
class Place:
    """What an expression may refer to: loads, the accumulator, vector width."""

    lanes: int
    load: Callable[[int], Tir]
    element: Callable[[int, Tir], Tir]
    pair: Callable[[int], tuple[Tir, Tir]]
    acc: Tir = None
    done: dict[e.Expr, Tir] = field(default_factory=dict)

    def kind(self, elem: str) -> str:
        """The TIR type of one register of `elem`."""
        return NAMES[elem] if self.lanes == 1 else f"{NAMES[elem]}x{self.lanes}"

    def splat(self, value: float, elem: str) -> Tir:
        """The same number in all lanes."""
        number = (
            T.FloatImm("float32", float(value))
            if elem == "f32"
            else T.IntImm(NAMES[elem], int(value))
        )
        return number if self.lanes == 1 else T.broadcast(number, self.lanes)

    def cast(self, value: Tir, elem: str) -> Tir:
        """Another element format; the same if it already is."""
        return T.cast(value, self.kind(elem))

    def emit(self, x: e.Expr) -> Tir:
        """The expression's value; a shared part is computed once."""
        if x not in self.done:
            value = _emit(x, self)
            if not isinstance(x, (e.Acc, e.Imm)):
                value = T.Bind(value)
            self.done[x] = value
        return self.done[x]


def _emit(x: e.Expr, at: Place) -> Tir:
    match x:
        case e.Acc():
            return at.acc
        case e.Imm(elem=elem, value=value):
            return at.splat(value, elem)
        case e.Load(elem=elem, view=view):
            return at.cast(at.load(view), elem)
        case _:
            return _computed(x, at)


def _computed(x: e.Expr, at: Place) -> Tir:
    match x:
        case e.Binary():
            return _binary(x, at)
        case e.Unary():
            return _unary(x, at)
        case e.Convert(elem=elem, x=inner):
            return at.cast(at.emit(inner), elem)
        case e.Select(condition=condition, a=a, b=b):
            chosen = at.emit(condition)
            return T.Select(unequal(chosen, at.splat(0, condition.elem)), at.emit(a), at.emit(b))
        case e.Lookup(elem=elem, x=inner, view=view, first=first):
            index = at.emit(inner) - at.splat(first, "i32")
            return at.cast(at.element(view, index), elem)
        case e.Snap():
            return _snap(x, at)
        case e.Rescale():
            return _rescale(x, at)
        case _:
            raise AssertionError(f"no code for {x}")


def _binary(x: e.Binary, at: Place) -> Tir:
    a, b = at.emit(x.a), at.emit(x.b)
    if x.op == "div" and x.elem == "i64" and 0 <= x.lo < x.hi <= BY_REALS:
        return _quotient_by_reals(a, b, at)
    if x.op == "div" and not x.is_float:
        return _quotient(a, b, x.elem, at)
    if x.op in _TESTS:
        return T.Select(_TESTS[x.op](a, b), at.splat(1, "i32"), at.splat(0, "i32"))
    value = _PAIRS[x.op](a, b)
    return _rounded(value, at.kind("f32")) if x.op == "mul" and x.is_float else value


def _rounded(product: Tir, kind: str) -> Tir:
    """The product as a float32: not to be fused with the sum behind it, which would round once."""
    fence = T.llvm_lookup_intrinsic_id("llvm.arithmetic.fence")
    return T.call_llvm_pure_intrin(fence, product, dtype=kind)


def _quotient(a: Tir, b: Tir, elem: str, at: Place) -> Tir:
    """a / b toward zero; what the processor would trap on (b = 0, the least integer by -1) has a
    value, for lanes that hold nothing are computed, too."""
    less, zero = equal(b, at.splat(-1, elem)), equal(b, at.splat(0, elem))
    one = at.splat(1, elem)
    safe = T.Select(less, one, T.Select(zero, one, b))
    return T.Select(less, at.splat(0, elem) - a, T.truncdiv(a, safe))


def _quotient_by_reals(a: Tir, b: Tir, at: Place) -> Tir:
    """⌊a / b⌋, a not negative, 0 < b < 2^53: a quotient of doubles is off by one at most.

    Processors divide registers of reals, and integers one by one.
    """
    real = at.kind("i64").replace("int", "float")
    near = T.Bind(T.cast(T.cast(a, real) / T.cast(b, real), at.kind("i64")))
    rest = T.Bind(a - near * b)
    zero, one = at.splat(0, "i64"), at.splat(1, "i64")
    return T.Select(rest < zero, near - one, T.Select(rest >= b, near + one, near))


def _unary(x: e.Unary, at: Place) -> Tir:
    value = at.emit(x.x)
    match x.op:
        case "neg":
            return at.splat(0, x.elem) - value
        case "not":
            return at.splat(1, x.elem) - value
        case "exp" | "log" | "tanh" | "erf" as name:
            return _FITTED[name](Register(at.lanes), value)
        case _:
            return _FUNCTIONS[x.op](value)


def _snap(x: e.Snap, at: Place) -> Tir:
    steps = T.nearbyint(at.emit(x.x) / at.emit(x.scale))
    lo, hi = float(x.lo - x.zero), float(x.hi - x.zero)
    zero = at.splat(0, "f32")
    real = T.Select(equal(steps, steps), steps, zero)
    held = T.max(T.min(real, at.splat(hi, "f32")), at.splat(lo, "f32"))
    return at.cast(held, "i32") + at.splat(x.zero, "i32")


def _rescale(x: e.Rescale, at: Place) -> Tir:
    if x.word:
        scaled = at.emit(x.x) * at.emit(x.m)
        if x.shift:
            half = at.splat(1 << (x.shift - 1), "i32")
            scaled = T.shift_right(scaled + half, at.splat(x.shift, "i32"))
        return _clip(scaled + at.splat(x.plus, "i32"), x, at, "i32")
    if x.paired:
        return _clip(_paired(x, at), x, at, "i32")
    product = at.cast(at.emit(x.x), "i64") * at.cast(at.emit(x.m), "i64")
    if x.shift:
        half = at.splat(1 << (x.shift - 1), "i64")
        product = T.shift_right(product + half, at.splat(x.shift, "i64"))
    return at.cast(_clip(product + at.splat(x.plus, "i64"), x, at, "i64"), "i32")


def _clip(value: Tir, x: e.Rescale, at: Place, elem: str) -> Tir:
    if x.hi < e.INT32[1] or elem == "i64":
        value = T.min(value, at.splat(x.hi, elem))
    if x.lo > e.INT32[0] or elem == "i64":
        value = T.max(value, at.splat(x.lo, elem))
    return value


def _paired(x: e.Rescale, at: Place) -> Tir:
    """Even and odd lanes as 64-bit products of their own: no widening, no narrowing.

    The sum (product + half + plus·2^shift) must fit 63 bits and the result 32: then bits
    [shift, shift + 32) of it are the result. Even lanes take them from the low half of their
    64-bit place, odd lanes are shifted so that they lie in the high half.
    """
    half = at.lanes // 2
    wide = T.reinterpret(at.emit(x.x), dtype=f"int64x{half}")

    def splat(value: int) -> Tir:
        return T.broadcast(T.IntImm("int64", value), half)

    def signed_low(v: Tir) -> Tir:
        return T.shift_right(T.shift_left(v, splat(32)), splat(32))

    even_m, odd_m = _pair_of(x.m, at)
    constant = splat((x.plus << x.shift) + ((1 << x.shift) >> 1))
    even = signed_low(wide) * signed_low(even_m) + constant
    odd = T.shift_right(wide, splat(32)) * signed_low(odd_m) + constant
    if x.shift:
        even = T.shift_right(even, splat(x.shift))
    if x.shift < 32:
        odd = T.shift_left(odd, splat(32 - x.shift))
    elif x.shift > 32:
        odd = T.shift_right(odd, splat(x.shift - 32))
    places = [i if i % 2 == 0 else at.lanes + i for i in range(at.lanes)]
    both = [T.reinterpret(v, dtype=at.kind("i32")) for v in (even, odd)]
    return T.Shuffle(both, places)


def _pair_of(m: e.Expr, at: Place) -> tuple[Tir, Tir]:
    if isinstance(m, e.Imm):
        same = T.broadcast(T.IntImm("int64", int(m.value)), at.lanes // 2)
        return same, same
    assert isinstance(m, e.Load)
    return at.pair(m.view)
