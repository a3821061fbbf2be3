"""A law: which linear maps on the axes of an operation's operands and result leave it true.

Let the value v become v T on one of its axes. An operation keeps its meaning for certain tuples of
maps on its operands and its result only; a law names the axes that such a tuple ties together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from fractions import Fraction
from typing import TypeAlias

from qcompile.ir.dims import Dim
from qcompile.ir.node import Node

Rows: TypeAlias = tuple[tuple[int | Fraction, ...], ...]


class Group(IntEnum):
    """The matrices that may act."""

    NONE = 0
    """The identity only."""
    TURN = 1
    """a·I + b·J with a² + b² = 1: turns of a plane."""
    PAIR = 2
    """a·I + b·J, J the quarter turn of a plane: what commutes with rotary embeddings."""
    ORTHOGONAL = 3
    """Any T with T Tᵀ = I."""
    GENERAL = 4
    """Any invertible T."""

    def meet(self, other: Group) -> Group:
        """What is in both."""
        if {self, other} == {Group.PAIR, Group.ORTHOGONAL}:
            return Group.TURN
        return min(self, other)


@dataclass(frozen=True, slots=True)
class Factor:
    """The middle of an axis seen as [outer, size, inner], row-major."""

    size: Dim
    inner: int


@dataclass(frozen=True, slots=True)
class Segment:
    """The indices from `start` up to `stop`."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Port:
    """An axis of a value, or a part of one."""

    value: Node
    axis: int
    part: Factor | Segment | None = None

    @property
    def size(self) -> Dim:
        """How many indices it has."""
        match self.part:
            case Factor(size=size):
                return size
            case Segment(start=start, stop=stop):
                return stop - start
            case None:
                return self.value.type.shape[self.axis]


@dataclass(frozen=True, slots=True)
class Law:
    """One index set on all `ports`, and what may act on it.

    Matrices: T of `group` acts as x T where `signs` is 1 and as x T^-T where it is −1; `group` None
    says nothing about matrices. Scales: each row of `rows` demands Σ row_i · log s_i = 0.
    Permutations: the same on all ports, none unless `permutes`. Maps may differ along other axes
    only where both sides still know them: all of them, or those of `across`.
    """

    ports: tuple[Port, ...]
    group: Group | None
    rows: Rows
    why: str
    signs: tuple[int, ...]
    permutes: bool = True
    across: tuple[Port, ...] | None = None
    owner: Node | None = None

    @property
    def node(self) -> Node:
        """The operation whose law it is."""
        return self.ports[0].value if self.owner is None else self.owner

    def only_across(self, *ports: Port) -> Law:
        """The same law, whose maps may differ along these axes only."""
        return replace(self, across=ports)


def same(*ports: Port) -> Law:
    """Linear along the axis with the same coefficients for each index: any T, the same on all."""
    return _law(ports, Group.GENERAL, _equal(len(ports)), "")


def dual(a: Port, b: Port) -> Law:
    """Σ_i a_i b_i: (x T)(T^-1 y) for any T."""
    return Law((a, b), Group.GENERAL, ((1, 1),), "", (1, -1))


def product(z: Port, a: Port, b: Port, *equal: Port, why: str) -> Law:
    """z_i = a_i b_i (+ equal_i): scales multiply, nothing mixes."""
    ports = (z, a, b, *equal)
    rows = [_row(len(ports), {0: 1, 1: -1, 2: -1})]
    rows += [_row(len(ports), {0: 1, i: -1}) for i in range(3, len(ports))]
    return _law(ports, Group.NONE, tuple(rows), why)


def quotient(z: Port, a: Port, b: Port, *, why: str) -> Law:
    """z_i = a_i / b_i."""
    return _law((z, a, b), Group.NONE, ((1, -1, 1),), why)


def homogeneous(*ports: Port, why: str) -> Law:
    """f(c x) = c f(x) for c > 0, index by index: the same positive scale on all."""
    return _law(ports, Group.NONE, _equal(len(ports)), why)


def power(z: Port, x: Port, *, upper: int, lower: int = 1, why: str) -> Law:
    """z_i = x_i to the power upper/lower."""
    return _law((z, x), Group.NONE, ((lower, -upper),), why)


def kept(*ports: Port, why: str) -> Law:
    """Nothing but the same permutation on all."""
    rows = tuple(_row(len(ports), {i: 1}) for i in range(len(ports)))
    return _law(ports, Group.NONE, rows, why)


def frozen(port: Port, *, why: str) -> Law:
    """Nothing at all."""
    return replace(kept(port, why=why), permutes=False)


def tied(group: Group | None, rows: Rows, *ports: Port, why: str) -> Law:
    """Matrices of a group (None: nothing is said of them), scales by the rows."""
    return _law(ports, group, rows, why)


def _law(ports: tuple[Port, ...], group: Group | None, rows: Rows, why: str) -> Law:
    return Law(ports, group, rows, why, (1,) * len(ports))


def _equal(count: int) -> tuple[tuple[int, ...], ...]:
    return tuple(_row(count, {0: 1, i: -1}) for i in range(1, count))


def _row(count: int, terms: dict[int, int]) -> tuple[int, ...]:
    return tuple(terms.get(i, 0) for i in range(count))
