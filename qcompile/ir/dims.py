"""Dimensions: a length is an integer, or a symbol while it is open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Symbol:
    """An open length, named by the expression that gives it: `n`, `(h+1)//2`."""

    name: str

    def __add__(self, other: Dim) -> Dim:
        return self if other == 0 else Symbol(f"({self}+{other})")

    def __radd__(self, other: int) -> Dim:
        return self if other == 0 else Symbol(f"({other}+{self})")

    def __sub__(self, other: Dim) -> Dim:
        if other == self:
            return 0
        return self if other == 0 else Symbol(f"({self}-{other})")

    def __rsub__(self, other: int) -> Dim:
        return Symbol(f"({other}-{self})")

    def __mul__(self, other: Dim) -> Dim:
        return other if other == 0 else self if other == 1 else Symbol(f"({self}*{other})")

    def __rmul__(self, other: int) -> Dim:
        return other if other == 0 else self if other == 1 else Symbol(f"({other}*{self})")

    def __floordiv__(self, other: Dim) -> Dim:
        if other == self:
            return 1
        return self if other == 1 else Symbol(f"({self}//{other})")

    def __rfloordiv__(self, other: int) -> Dim:
        return Symbol(f"({other}//{self})")

    def __str__(self) -> str:
        return self.name


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
