"""How many instructions finishing takes for one element, estimated from its expressions.

The weights are those of machine code for sm_75; a test counts it and compares.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields

from qcompile.targets.cuda.expression import ends_in_shift, is_high_word
from qcompile.targets.cuda.formats import BITS, RANGES
from qcompile.targets.cuda.holding import scaled_range, stored
from qcompile.targets.loops import expr as e

AROUND = 1.0  # addresses, what is read by channel, places beyond the last, the stores
PACKED = 0.5  # one instruction packs two elements
_IN_64_BITS = 8  # a rescale that may not fit 32 bits before it is clipped
_BYTE = (-128, 255)


def instructions(*results: tuple[e.Expr, str]) -> float:
    """Of one element of all `results`, each written in its format; shared values count once."""
    roots = [_written(x, elem) for x, elem in results]
    packed = PACKED * sum(BITS[elem] < 16 for _, elem in results)
    return AROUND + packed + sum(_own(x) for x in _distinct(roots))


def _written(x: e.Expr, elem: str) -> e.Expr:
    integer = not x.is_float and x.elem != "i64"
    return stored(x, *RANGES[elem]) if integer and BITS[elem] < 16 else x


def _own(x: e.Expr) -> int:
    match x:
        case e.Imm():
            return 0
        case e.Load():  # bytes are taken out of words; the rest comes as it is used
            return int(_BYTE[0] <= x.lo and x.hi <= _BYTE[1])
        case e.Rescale():
            between = scaled_range(x)
            if between is None:
                return _IN_64_BITS
            return 2 - is_high_word(x) + (between[0] < x.lo) + (between[1] > x.hi)
        case e.Binary(op="add", a=a, b=other) if ends_in_shift(a) or ends_in_shift(other):
            return 0
        case _:
            return 1


def _distinct(roots: Sequence[e.Expr]) -> Iterator[e.Expr]:
    """Every expression that occurs; equal ones once."""
    numbers: dict[object, int] = {}
    known: dict[int, int] = {}
    found: list[e.Expr] = []

    def number(x: e.Expr) -> int:
        if id(x) not in known:
            values = (getattr(x, f.name) for f in fields(x))
            parts = (number(v) if isinstance(v, e.Expr) else repr(v) for v in values)
            key = (type(x), *parts)
            if key not in numbers:
                numbers[key] = len(numbers)
                found.append(x)
            known[id(x)] = numbers[key]
        return known[id(x)]

    for root in roots:
        number(root)
    yield from found
