"""Clips that need not be computed: packing holds values to a format's range by itself."""

from __future__ import annotations

from dataclasses import replace

from qcompile.targets.loops import expr as e


def stored(x: e.Expr, lo: int, hi: int) -> e.Expr:
    """x without the clips at its end that packing to lo … hi does by itself."""
    match x:
        case e.Binary(op="min", a=a, b=e.Imm(value=value), elem="i32") if value == hi:
            return stored(a, lo, hi)
        case e.Binary(op="max", a=a, b=e.Imm(value=value), elem="i32") if value == lo:
            return a
        case e.Rescale(x=e.Binary()) if (free := _let_go(x)) is not None:
            return stored(free, lo, hi)
        case e.Rescale(x=e.Rescale()) if (free := _through(x)) is not None:
            return stored(free, lo, hi)
        case e.Rescale() if (between := scaled_range(x)) is not None:
            least = between[0] if x.lo == lo else x.lo
            greatest = between[1] if x.hi == hi else x.hi
            return replace(x, lo=least, hi=greatest)
        case _:
            return x


def _let_go(x: e.Rescale) -> e.Rescale | None:
    """The same with x's operand not held before, but the result behind: f(clip(v, a, b)) is
    clip(f(v), f(a), f(b)), for f never falls. None where that may not fit 32 bits."""
    match x.x:
        case e.Binary(op="min" | "max" as op, a=a, b=e.Imm(value=end)) if isinstance(x.m, e.Imm):
            free = replace(x, x=a, word=False)
            if x.m.value < 0 or scaled_range(free) is None:
                return None
            limit = _scaled(int(end), int(x.m.value), x)
            if op == "min":
                return replace(free, hi=min(x.hi, max(limit, x.lo)))
            return replace(free, lo=max(x.lo, min(limit, x.hi)))
        case _:
            return None


def _through(x: e.Rescale) -> e.Rescale | None:
    """As `_let_go` for an operand that is itself rescaled and clipped."""
    inner = stored(x.x, x.x.lo, x.x.hi)
    free = replace(x, x=inner, word=False)
    if inner == x.x or not isinstance(x.m, e.Imm) or x.m.value < 0 or scaled_range(free) is None:
        return None
    low, high = (_scaled(end, int(x.m.value), x) for end in (x.x.lo, x.x.hi))
    least, greatest = max(x.lo, min(low, x.hi)), min(x.hi, max(high, x.lo))
    return replace(free, lo=least, hi=greatest)


def _scaled(value: int, m: int, x: e.Rescale) -> int:
    return (value * m + ((1 << x.shift) >> 1) >> x.shift) + x.plus


def scaled_range(x: e.Rescale) -> tuple[int, int] | None:
    """What an i32 rescale lies in before it is clipped; None when that may not fit."""
    ends = [_scaled(a, b, x) for a in span(x.x) for b in span(x.m)]
    lo, hi = min(ends), max(ends)
    return (lo, hi) if e.INT32[0] <= lo and hi <= e.INT32[1] else None


def span(x: e.Expr) -> tuple[int, int]:
    """The bounds of a value, which fits 32 bits."""
    return max(x.lo, e.INT32[0]), min(x.hi, e.INT32[1])


def largest(x: e.Rescale) -> int:
    """The greatest magnitude of x · m."""
    return max(abs(a * b) for a in span(x.x) for b in span(x.m))
