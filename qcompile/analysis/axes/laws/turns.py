"""What a step of a rotary embedding computes: each element as a sum of ± x_i · table_u.

Whatever the spelling (halves or neighbours, stepped slices, stacks, joined products), the sums are
those of turns of planes: z_p = c x_i − s x_j and z_q = s x_i + c x_j.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qcompile.ir.dims import is_static, static
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add, Mul, Sub
from qcompile.ir.ops.pointwise import Neg
from qcompile.ir.ops.shape import Concat, Reshape, Slice, Transpose


@dataclass(frozen=True, slots=True)
class Term:
    """± x[index] · table[place]; without a table ± x[index]."""

    index: int
    sign: int
    table: Node | None = None
    place: int = 0


Sums: TypeAlias = NDArray[Any]  # of tuples of terms


class Sorter:
    """Works out the sums of the steps behind x, over the axes from x's last one on."""

    def __init__(self, x: Node) -> None:
        self.x = x
        self.lead = x.type.rank - 1
        self.seen: dict[Node, Sums | None] = {}

    @property
    def steps(self) -> frozenset[Node]:
        """All nodes between x and what was asked for."""
        return frozenset(node for node, own in self.seen.items() if own is not None) - {self.x}

    def of(self, node: Node) -> Sums | None:
        """The node's sums; None when it is not x moved, signed, multiplied and added up."""
        if node not in self.seen:
            self.seen[node] = self._work_out(node)
        return self.seen[node]

    def _work_out(self, node: Node) -> Sums | None:
        shape, lead = node.type.shape, self.lead
        if shape[:lead] != self.x.type.shape[:lead] or not is_static(shape[lead:]):
            return None
        match node:
            case _ if node is self.x:
                return _filled((Term(i, 1),) for i in range(static(shape[lead:])[0]))
            case Neg(x=x):
                own = self.of(x)
                return None if own is None else _each(_negated, own)
            case Mul(a=a, b=b):
                own = self._product(a, b)
                return self._product(b, a) if own is None else own
            case Add(a=a, b=b) | Sub(a=a, b=b):
                return self._sum(a, b, _negated if isinstance(node, Sub) else _same)
            case _:
                return self._moved(node)

    def _product(self, part: Node, table: Node) -> Sums | None:
        """Each element times its own number."""
        own = self.of(part)
        if own is None or any(len(terms) != 1 or terms[0].table for terms in own.flat):
            return None
        shape = table.type.shape[max(table.type.rank - own.ndim, 0) :]
        if not is_static(shape) or any(length != 1 for length in shape[:-1]):
            return None
        counted = np.arange(static(shape)[-1]) if shape else np.asarray(0)
        places = np.broadcast_to(counted, own.shape)
        terms = (
            (replace(term, table=table, place=int(place)),)
            for (term,), place in zip(own.flat, places.flat, strict=True)
        )
        return _filled(terms).reshape(own.shape)

    def _sum(self, a: Node, b: Node, sign: Callable[[Any], Any]) -> Sums | None:
        left, right = self.of(a), self.of(b)
        if left is None or right is None or left.shape != right.shape:
            return None
        pairs = zip(left.flat, _each(sign, right).flat, strict=True)
        return _filled(x + y for x, y in pairs).reshape(left.shape)

    def _moved(self, node: Node) -> Sums | None:
        if not isinstance(node, Concat | Reshape | Slice | Transpose):
            return None
        parts = [self.of(operand) for operand in node.operands]
        known = [part for part in parts if part is not None]
        return _rearranged(node, known, self.lead) if len(known) == len(parts) else None


def _rearranged(node: Node, parts: list[Sums], lead: int) -> Sums | None:
    match node:
        case Concat(axis=axis) if axis >= lead:
            return np.concatenate(parts, axis - lead)
        case Reshape():
            return parts[0].reshape(static(node.type.shape[lead:]))
        case Slice(axes=axes) if min(axes) >= lead and min(node.steps) > 0:
            cuts = [slice(None)] * parts[0].ndim
            for axis, *cut in zip(axes, node.starts, node.stops, node.steps, strict=True):
                cuts[axis - lead] = slice(*cut)
            return parts[0][tuple(cuts)]
        case Transpose(perm=perm) if perm[:lead] == tuple(range(lead)):
            return parts[0].transpose([p - lead for p in perm[lead:]])
        case _:
            return None


def _negated(terms: tuple[Term, ...]) -> tuple[Term, ...]:
    return tuple(replace(term, sign=-term.sign) for term in terms)


def _same(terms: tuple[Term, ...]) -> tuple[Term, ...]:
    return terms


def _each(function: Callable[[Any], Any], sums: Sums) -> Sums:
    return _filled(function(terms) for terms in sums.flat).reshape(sums.shape)


def _filled(terms: Iterator[tuple[Term, ...]]) -> Sums:
    """An array whose elements are tuples."""
    return np.fromiter(terms, object)
