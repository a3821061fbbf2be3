"""Dimensions: a length is an integer, or a symbol while it is open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Symbol:
    """An open length, named by the expression that gives it: `n`, `(h+1)//2`.

    Numbers stand last, only one in a row: 1 + n and (n + 2) - 1 are n + 1, (n * 8) // 4 is n * 2.
    """

    name: str

    def __add__(self, other: Dim) -> Dim:
        return self._shifted(other) if isinstance(other, int) else Symbol(f"({self}+{other})")

    def __radd__(self, other: int) -> Dim:
        return self._shifted(other)

    def __sub__(self, other: Dim) -> Dim:
        if isinstance(other, int):
            return self._shifted(-other)
        (base, more), (other_base, less) = _summands(self.name), _summands(other.name)
        return more - less if base == other_base else Symbol(f"({self}-{other})")

    def __rsub__(self, other: int) -> Dim:
        return Symbol(f"({other}-{self})")

    def __mul__(self, other: Dim) -> Dim:
        return self._times(other) if isinstance(other, int) else Symbol(f"({self}*{other})")

    def __rmul__(self, other: int) -> Dim:
        return self._times(other)

    def __floordiv__(self, other: Dim) -> Dim:
        if other == self:
            return 1
        base, factor = _factors(self.name)
        if isinstance(other, int) and other > 0 and factor % other == 0:
            return Symbol(base)._times(factor // other)
        return Symbol(f"({self}//{other})")

    def __rfloordiv__(self, other: int) -> Dim:
        return Symbol(f"({other}//{self})")

    def __str__(self) -> str:
        return self.name

    def _shifted(self, by: int) -> Dim:
        base, more = _summands(self.name)
        total = more + by
        return Symbol(f"({base}{total:+d})" if total else base)

    def _times(self, by: int) -> Dim:
        base, factor = _factors(self.name)
        total = factor * by
        return 0 if total == 0 else Symbol(base if total == 1 else f"({base}*{total})")


def _summands(name: str) -> tuple[str, int]:
    """n and 2 of `(n+2)`; anything else and 0."""
    for sign in "+-":
        base, number = _before(name, sign)
        if base:
            return base, int(sign + number)
    return name, 0


def _factors(name: str) -> tuple[str, int]:
    """n and 2 of `(n*2)`; anything else and 1."""
    base, number = _before(name, "*")
    return (base, int(number)) if base else (name, 1)


def _before(name: str, sign: str) -> tuple[str, str]:
    """a and the number of `(a sign number)`; "" where the name is not of this form."""
    base, _, number = name[1:-1].rpartition(sign)
    if not (name.startswith("(") and name.endswith(")") and number.isdecimal()):
        return "", ""
    whole = base.isidentifier() or _enclosed(base)
    return (base, number) if whole else ("", "")


def _enclosed(text: str) -> bool:
    """True when one pair of parentheses is around all of it."""
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return text[0] == "(" and place == len(text) - 1
    return False


Dim: TypeAlias = int | Symbol
Shape: TypeAlias = tuple[Dim, ...]


def is_static(shape: Shape) -> bool:
    """True when every length is a number."""
    return all(isinstance(d, int) for d in shape)


def static(shape: Shape) -> tuple[int, ...]:
    """The shape as numbers; `ValueError` names the open lengths."""
    numbers = tuple(d for d in shape if isinstance(d, int))
    if len(numbers) != len(shape):
        open_ones = ", ".join(str(d) for d in shape if isinstance(d, Symbol))
        raise ValueError(f"open dimensions: {open_ones}")
    return numbers


def size(shape: Shape) -> Dim:
    """The product of all lengths."""
    known = prod(d for d in shape if isinstance(d, int))
    result: Dim = known
    for d in shape:
        if isinstance(d, Symbol):
            result = d * result if result != 1 else d
    return result


def broadcast(*shapes: Shape) -> Shape:
    """Numpy's broadcasting; an open length meets 1 or itself. `ValueError` names the pair."""
    rank = max(len(s) for s in shapes)
    padded = [(1,) * (rank - len(s)) + s for s in shapes]
    return tuple(_common(column) for column in zip(*padded, strict=True))


def _common(lengths: Sequence[Dim]) -> Dim:
    result: Dim = 1
    for d in lengths:
        if d == result or d == 1:
            continue
        if result != 1:
            raise ValueError(f"lengths {result} and {d} do not broadcast")
        result = d
    return result


def bind(shape: Shape, binding: Mapping[str, int]) -> Shape:
    """Replaces plain symbols by their numbers."""
    return tuple(binding.get(d.name, d) if isinstance(d, Symbol) else d for d in shape)


def show(shape: Shape) -> str:
    """`1, 64, n`."""
    return ", ".join(str(d) for d in shape)
