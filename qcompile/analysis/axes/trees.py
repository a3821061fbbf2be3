"""How an axis is put together: segments (a sum) and factors (a product, row-major) of atoms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import TypeAlias

from qcompile.analysis.axes.laws.law import Factor, Segment
from qcompile.ir.dims import Dim


@dataclass(frozen=True, slots=True)
class Atom:
    """An index set that nothing divides; `place` counts the atoms of one axis."""

    cell: int
    size: Dim
    place: int = -1


@dataclass(frozen=True, slots=True)
class Prod:
    """All tuples of indices, the last running fastest; empty: the axis of length 1."""

    parts: tuple[Tree, ...]

    @property
    def size(self) -> int:
        """The product of the sizes."""
        return prod(_number(p.size) for p in self.parts)


@dataclass(frozen=True, slots=True)
class Sum:
    """One part after the other."""

    parts: tuple[Tree, ...]

    @property
    def size(self) -> int:
        """The sum of the sizes."""
        return sum(_number(p.size) for p in self.parts)


Tree: TypeAlias = Atom | Prod | Sum
Pieces: TypeAlias = tuple[Tree, Tree]
Divide: TypeAlias = Callable[[Atom, "type[Prod] | type[Sum]", int, int], Pieces | None]
ONE = Prod(())


def atoms(tree: Tree) -> Iterator[Atom]:
    """The atoms, in order."""
    if isinstance(tree, Atom):
        yield tree
        return
    for part in tree.parts:
        yield from atoms(part)


def product_of(*trees: Tree) -> Tree:
    """The product, flattened; factors of length 1 vanish."""
    parts: list[Tree] = []
    for tree in trees:
        parts += tree.parts if isinstance(tree, Prod) else [tree]
    parts = [p for p in parts if p.size != 1]
    return parts[0] if len(parts) == 1 else Prod(tuple(parts))


def sum_of(*trees: Tree) -> Tree:
    """The sum, flattened; empty parts vanish."""
    parts: list[Tree] = []
    for tree in trees:
        parts += tree.parts if isinstance(tree, Sum) else [tree]
    parts = [p for p in parts if p.size != 0]
    return parts[0] if len(parts) == 1 else Sum(tuple(parts))


def part_of(tree: Tree, part: Factor | Segment | None, divide: Divide) -> Tree | None:
    """The part of an axis; `divide` splits atoms where it must. None: it does not nest."""
    match part:
        case None:
            return tree
        case Factor(size=size, inner=inner):
            return _factor(tree, size, inner, divide)
        case Segment(start=start, stop=stop):
            front = cut(tree, stop, divide)
            pieces = None if front is None else cut(front[0], start, divide)
            return None if pieces is None else pieces[1]


def _factor(tree: Tree, size: Dim, inner: int, divide: Divide) -> Tree | None:
    if size == tree.size:
        return tree
    pieces = split(tree, inner, divide)
    if pieces is None or not isinstance(size, int):
        return None
    last = split(pieces[0], size, divide)
    return None if last is None else last[1]


def split(tree: Tree, inner: int, divide: Divide) -> Pieces | None:
    """(outer, inner) factors, the inner one of this length; None where it does not nest."""
    if inner == 1:
        return tree, ONE
    if inner == tree.size:
        return ONE, tree
    if not isinstance(tree.size, int) or tree.size % inner:
        return None
    match tree:
        case Atom():
            return divide(tree, Prod, tree.size // inner, inner)
        case Prod(parts=parts):
            return _split_product(parts, inner, divide)
        case Sum():
            return None


def _split_product(parts: tuple[Tree, ...], inner: int, divide: Divide) -> Pieces | None:
    behind, rest = prod(_number(p.size) for p in parts[1:]), parts[1:]
    if behind % inner == 0:
        pieces = split(product_of(*rest), inner, divide)
        return None if pieces is None else (product_of(parts[0], pieces[0]), pieces[1])
    if inner % behind:
        return None
    pieces = split(parts[0], inner // behind, divide)
    return None if pieces is None else (pieces[0], product_of(pieces[1], *rest))


def cut(tree: Tree, at: int, divide: Divide) -> Pieces | None:
    """(before, from) the index `at`; None where it does not nest."""
    if not isinstance(tree.size, int):
        return None
    if at in (0, tree.size):
        return (tree, Sum(())) if at else (Sum(()), tree)
    match tree:
        case Atom():
            return divide(tree, Sum, at, tree.size - at)
        case Prod(parts=(first, *rest)):
            inner = prod(_number(p.size) for p in rest)
            pieces = None if at % inner else cut(first, at // inner, divide)
            return (
                None
                if pieces is None
                else (product_of(pieces[0], *rest), product_of(pieces[1], *rest))
            )
        case Sum(parts=(first, *rest)):
            return _cut_sum(first, tuple(rest), at, divide)
        case _:
            return None


def _cut_sum(first: Tree, rest: tuple[Tree, ...], at: int, divide: Divide) -> Pieces | None:
    length = _number(first.size)
    if at >= length:
        pieces = cut(sum_of(*rest), at - length, divide)
        return None if pieces is None else (sum_of(first, pieces[0]), pieces[1])
    pieces = cut(first, at, divide)
    return None if pieces is None else (pieces[0], sum_of(pieces[1], *rest))


def _number(size: Dim) -> int:
    if not isinstance(size, int):
        raise AssertionError(f"an open length {size} inside of an axis that is divided")
    return size
