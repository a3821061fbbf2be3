"""Every axis of every value, divided into atoms; every law, told of atoms."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from qcompile.analysis.axes.cells import NEVER, Cells
from qcompile.analysis.axes.laws.law import Law, Port
from qcompile.analysis.axes.trees import Atom, Prod, Sum, Tree, atoms, part_of
from qcompile.ir.dims import Dim
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node


@dataclass(frozen=True, slots=True)
class Leaf:
    """One atom of one axis of one value.

    `kind` names the index set; leaves of one kind are indexed alike. `branches` are the segments
    that it lies in, as (axis, path, which).
    """

    value: Node
    axis: int
    place: int
    size: Dim
    kind: int
    branches: frozenset[tuple[int, tuple[int, ...], int]]


@dataclass(frozen=True, slots=True)
class Column:
    """A law on one leaf of each of its ports. `broken`: the ports' atoms did not correspond."""

    law: Law
    leaves: tuple[int, ...]
    broken: bool = False


@dataclass(frozen=True, eq=False)
class Layout:
    """Leaves by number, in graph order, and the laws on them."""

    graph: Graph
    trees: dict[tuple[Node, int], Tree]
    leaves: tuple[Leaf, ...]
    of_value: dict[Node, tuple[int, ...]]
    columns: tuple[Column, ...]
    across: dict[int, frozenset[int]]
    """For a column's number the kinds along which its maps may differ, where that is restricted."""
    sizes: dict[int, Dim]
    """The length of each kind."""


def layout(graph: Graph, laws: Iterable[Law]) -> Layout:
    """Refines all axes until each law ties atoms to atoms."""
    found = tuple(laws)
    trees = _refined(graph, found)
    leaves: list[Leaf] = []
    numbers: dict[tuple[Node, int, int], int] = {}
    of_value: dict[Node, list[int]] = {node: [] for node in graph.nodes}
    for (node, axis), tree in trees.items():
        for atom, branches in _branching(tree, axis, (), frozenset()):
            if atom.size == 1:
                continue
            numbers[node, axis, atom.place] = len(leaves)
            of_value[node].append(len(leaves))
            leaves.append(Leaf(node, axis, atom.place, atom.size, atom.cell, branches))
    columns: list[Column] = []
    across: dict[int, frozenset[int]] = {}
    for law in found:
        fresh = list(_columns(law, trees, numbers, leaves))
        if law.across is not None:
            kinds = _kinds((*law.across, law.ports[0]), trees)
            across |= {len(columns) + i: kinds for i in range(len(fresh))}
        columns += fresh
    fixed = {node: tuple(numbers) for node, numbers in of_value.items()}
    sizes = {leaf.kind: leaf.size for leaf in leaves}
    return Layout(graph, trees, tuple(leaves), fixed, tuple(columns), across, sizes)


def _refined(graph: Graph, laws: tuple[Law, ...]) -> dict[tuple[Node, int], Tree]:
    cells = Cells()
    axes = {
        (node, axis): cells.new(size)
        for node in graph.nodes
        for axis, size in enumerate(node.type.shape)
    }
    for law in laws:
        parts = [
            part_of(cells.tree(axes[p.value, p.axis]), p.part, cells.divide) for p in law.ports
        ]
        first = parts[0]
        for other in parts[1:]:
            if first is not None and other is not None:
                cells.unite(first, other)
    return {key: _placed(cells.tree(cell)) for key, cell in axes.items()}


def _placed(tree: Tree) -> Tree:
    counter = iter(range(1 << 30))

    def walk(tree: Tree) -> Tree:
        match tree:
            case Atom(cell=cell, size=size):
                return Atom(cell, size, next(counter))
            case Prod(parts=parts):
                return Prod(tuple(walk(p) for p in parts))
            case Sum(parts=parts):
                return Sum(tuple(walk(p) for p in parts))

    return walk(tree)


Branches = frozenset[tuple[int, tuple[int, ...], int]]


def _branching(
    tree: Tree, axis: int, path: tuple[int, ...], branches: Branches
) -> Iterator[tuple[Atom, Branches]]:
    match tree:
        case Atom():
            yield tree, branches
        case Prod(parts=parts):
            for i, part in enumerate(parts):
                yield from _branching(part, axis, (*path, i), branches)
        case Sum(parts=parts):
            for i, part in enumerate(parts):
                yield from _branching(part, axis, (*path, i), branches | {(axis, path, i)})


def _columns(
    law: Law,
    trees: dict[tuple[Node, int], Tree],
    numbers: dict[tuple[Node, int, int], int],
    leaves: list[Leaf],
) -> Iterator[Column]:
    """One column for each atom of the ports; one broken one where they do not correspond."""
    found = [_numbers(port, trees, numbers) for port in law.ports]
    kinds = {None if own is None else tuple(leaves[i].kind for i in own) for own in found}
    if len(kinds) == 1 and None not in kinds:
        whole = [own for own in found if own is not None]
        yield from (Column(law, column) for column in zip(*whole, strict=True))
        return
    everything = [
        numbers[p.value, p.axis, atom.place]
        for p in law.ports
        for atom in atoms(trees[p.value, p.axis])
        if atom.size != 1
    ]
    yield Column(law, tuple(everything), broken=True)


def _numbers(
    port: Port,
    trees: dict[tuple[Node, int], Tree],
    numbers: dict[tuple[Node, int, int], int],
) -> tuple[int, ...] | None:
    part = part_of(trees[port.value, port.axis], port.part, NEVER)
    if part is None:
        return None
    return tuple(numbers[port.value, port.axis, a.place] for a in atoms(part) if a.size != 1)


def _kinds(ports: tuple[Port, ...], trees: dict[tuple[Node, int], Tree]) -> frozenset[int]:
    parts = [part_of(trees[p.value, p.axis], p.part, NEVER) for p in ports]
    return frozenset(a.cell for part in parts if part is not None for a in atoms(part))
