"""Rotary embeddings, found by what they compute: each plane of an axis turned by its own angle.

Maps of one plane that commute with all its turns are a·I + b·J (algorithms: "RoPE", a complex
number). The planes are halves, (i, i + n/2), or neighbours, (2i, 2i + 1), before and after.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from qcompile.analysis.axes.laws.even import Labels, labels
from qcompile.analysis.axes.laws.law import Factor, Group, Law, Port, frozen, same, tied
from qcompile.analysis.axes.laws.turns import Sorter, Sums, Term
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.binary import Add, Mul, Sub
from qcompile.ir.ops.pointwise import Neg
from qcompile.ir.ops.shape import Concat, Reshape, Slice, Transpose
from qcompile.ir.ops.source import Const

ANGLE = "rotary embeddings turn each plane by its own angle"
_PRODUCTS = (2, 4)  # that a turn is written with
_MOVES = 8  # steps from a product back to x


@dataclass(frozen=True, slots=True)
class Planes:
    """Of an axis of length 2 · half: members of a plane lie `step` apart, half or 1."""

    value: Node
    half: int
    step: int

    @property
    def plane(self) -> Factor:
        """Which member."""
        return Factor(2, self.step)

    @property
    def index(self) -> Factor:
        """Which plane."""
        return Factor(self.half, 1 if self.step == self.half else 2)

    @property
    def divides(self) -> bool:
        """False where the axis may be joined from parts, which no factors nest with."""
        return self.step == 0 or isinstance(self.value, Const)

    def pair(self, k: int) -> tuple[int, int]:
        """Where the members of plane k lie."""
        first = k if self.step == self.half else 2 * k
        return first, first + self.step


@dataclass(frozen=True, slots=True)
class Rotary:
    """z turns the planes of x; `inner` are the steps in between.

    Of each table its planes, or half as many numbers as it has angles (step 0).
    """

    z: Planes
    x: Planes
    tables: tuple[Planes, ...]
    inner: frozenset[Node]


def rotaries(graph: Graph) -> dict[Node, Rotary]:
    """All rotary embeddings whose steps nothing else reads, by their result."""
    outputs = set(graph.results)
    found: dict[Node, Rotary] = {}
    for node in graph.nodes:
        match = _rotary(node)
        if match is None or match.inner & outputs:
            continue
        own = match.inner | {node}
        if all(user in own for step in match.inner for user in graph.users[step]):
            found[node] = match
    steps = {step for match in found.values() for step in match.inner}
    return {node: match for node, match in found.items() if node not in steps}


def rotary_laws(rotary: Rotary) -> Iterator[Law]:
    """Complex numbers on each plane; one scale and one place for both of its members."""
    z, x = rotary.z, rotary.x
    last = z.value.type.rank - 1
    pair = Port(z.value, last, z.plane), Port(x.value, last, x.plane)
    turned = tied(Group.PAIR, ((1, 0), (0, 1)), *pair, why="rotary embeddings turn planes")
    yield replace(turned, permutes=False)
    own_index = Port(z.value, last, z.index)
    others = [Port(z.value, axis) for axis in range(last)]
    tables = [table for table in rotary.tables if table.divides]
    for table in rotary.tables:
        part = table.plane if table.divides else None
        if table.step:
            yield frozen(Port(table.value, table.value.type.rank - 1, part), why=ANGLE)
    angles = [Port(t.value, t.value.type.rank - 1, t.index if t.step else None) for t in tables]
    law = _turned(own_index, Port(x.value, last, x.index), angles).only_across(*others)
    yield law if tables == [*rotary.tables] else replace(law, permutes=False)
    for own in others:
        source = Port(x.value, own.axis)
        across = [other for other in others if other is not own] + [own_index]
        known = [
            Port(t.value, axis)
            for t in rotary.tables
            if (axis := own.axis - last - 1 + t.value.type.rank) >= 0
            and t.value.type.shape[axis] != 1
        ]
        law = _turned(own, source, known) if known else same(own, source)
        yield law.only_across(*across)


def _turned(z: Port, x: Port, tables: list[Port]) -> Law:
    """One scale on both sides, none on the tables."""
    count = 2 + len(tables)
    rows = [(1, -1, *(0,) * len(tables))]
    rows += [tuple(int(i == j) for j in range(count)) for i in range(2, count)]
    return tied(Group.NONE, tuple(rows), z, x, *tables, why=ANGLE)


def _rotary(z: Node) -> Rotary | None:
    """By the sums that z consists of, over whatever its products have in common."""
    products = _products(z)
    if products is None or len(products) not in _PRODUCTS:
        return None
    for x in _candidates(products):
        if x.type != z.type or not isinstance(x.type.shape[-1], int):
            continue
        sorter = Sorter(x)
        sums = sorter.of(z)
        if sums is not None and sums.size == x.type.shape[-1]:
            return _of_sums(z, x, sums, sorter.steps - {z})
    return None


def _products(z: Node) -> list[Mul] | None:
    """The products that z adds up and joins; None where it is something else."""
    match z:
        case Mul():
            return [z]
        case Add(a=a, b=b) | Sub(a=a, b=b) | Concat(xs=(a, b)):
            left = _products(a)
            right = None if left is None or len(left) >= max(_PRODUCTS) else _products(b)
            return None if left is None or right is None else left + right
        case Reshape(x=x) | Neg(x=x):
            return None if isinstance(x, Mul) and isinstance(z, Reshape) else _products(x)
        case _:
            return None


def _candidates(products: list[Mul]) -> list[Node]:
    """What all products read behind moves, nearest first."""
    chains = [[*_behind(product.a), *_behind(product.b)] for product in products]
    common = set(chains[0]).intersection(*chains[1:])
    return [node for node in dict.fromkeys(chains[0]) if node in common]


def _behind(node: Node) -> Iterator[Node]:
    for _ in range(_MOVES):
        yield node
        match node:
            case Neg(x=x) | Slice(x=x) | Reshape(x=x) | Transpose(x=x) | Concat(xs=(x, *_)):
                node = x
            case _:
                return


def _of_sums(z: Node, x: Node, sums: Sums, inner: frozenset[Node]) -> Rotary | None:
    """The planes on both sides for which each sum is half of a turn."""
    half, odd = divmod(len(sums), 2)
    if odd or any(len(terms) != 2 or terms[0].index == terms[1].index for terms in sums):
        return None
    tables = dict.fromkeys(term.table for terms in sums for term in terms)
    names = {table: labels(table) for table in tables if table is not None}
    steps = dict.fromkeys((half, 1))
    for z_planes in (Planes(z, half, step) for step in steps):
        for x_planes in (Planes(x, half, step) for step in steps):
            if all(_turns(k, z_planes, x_planes, sums, names) for k in range(half)):
                found = _tables(z_planes, sums, names)
                return None if found is None else Rotary(z_planes, x_planes, found, inner)
    return None


def _turns(k: int, z: Planes, x: Planes, sums: Sums, names: Mapping[Node, Labels]) -> bool:
    """z_p = c x_i + s x_j and z_q = c x_j − s x_i, for plane k."""
    (p, q), (i, j) = z.pair(k), x.pair(k)
    first = {term.index: (term.sign, _number(term, names)) for term in sums[p]}
    second = {term.index: (term.sign, _number(term, names)) for term in sums[q]}
    if first.keys() != {i, j} or second.keys() != {i, j}:
        return False
    sign, number = second[i]
    return first[i] == second[j] and first[j] == (-sign, number)


def _number(term: Term, names: Mapping[Node, Labels]) -> tuple[Node, int]:
    assert term.table is not None
    own = names[term.table]
    return term.table, int(own[term.place]) if own.size > 1 else 0


def _tables(z: Planes, sums: Sums, names: Mapping[Node, Labels]) -> tuple[Planes, ...] | None:
    """Of each table how its angles lie; None where they do not lie as the planes do."""
    found: list[Planes] = []
    for table, own in names.items():
        used = [
            tuple(t.place for p in z.pair(k) for t in sums[p] if t.table is table)
            for k in range(z.half)
        ]
        match own.size:
            case 1:
                continue
            case z.half if all(set(places) == {k} for k, places in enumerate(used)):
                found.append(Planes(table, z.half, 0))
            case _:
                fits = [
                    planes
                    for planes in (Planes(table, z.half, z.half), Planes(table, z.half, 1))
                    if own.size == 2 * z.half
                    and all(set(places) <= set(planes.pair(k)) for k, places in enumerate(used))
                ]
                if not fits:
                    return None
                found.append(fits[0])
    return tuple(found)
