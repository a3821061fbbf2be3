"""Index sets that are one: a union-find whose classes divide into common parts."""

from __future__ import annotations

from qcompile.analysis.axes.trees import (
    Atom,
    Divide,
    Pieces,
    Prod,
    Sum,
    Tree,
    cut,
    product_of,
    split,
    sum_of,
)
from qcompile.ir.dims import Dim


class Cells:
    """Builds the classes. A class is an atom until something divides it, for all its members."""

    def __init__(self) -> None:
        self._parent: list[int] = []
        self._size: list[Dim] = []
        self._form: dict[int, Tree] = {}

    def new(self, size: Dim) -> int:
        """A fresh class."""
        self._parent.append(len(self._parent))
        self._size.append(size)
        return len(self._parent) - 1

    def root(self, cell: int) -> int:
        """The class's first member."""
        while self._parent[cell] != cell:
            self._parent[cell] = self._parent[self._parent[cell]]
            cell = self._parent[cell]
        return cell

    def tree(self, cell: int) -> Tree:
        """How the class is divided by now."""
        root = self.root(cell)
        form = self._form.get(root)
        return Atom(root, self._size[root]) if form is None else self._now(form)

    def _now(self, tree: Tree) -> Tree:
        match tree:
            case Atom(cell=cell):
                return self.tree(cell)
            case Prod(parts=parts):
                return product_of(*map(self._now, parts))
            case Sum(parts=parts):
                return sum_of(*map(self._now, parts))

    def divide(self, atom: Atom, kind: type[Prod] | type[Sum], a: int, b: int) -> Pieces:
        """Divides an atom's class into two fresh ones."""
        first, last = Atom(self.new(a), a), Atom(self.new(b), b)
        self._form[self.root(atom.cell)] = kind((first, last))
        return first, last

    def unite(self, a: Tree, b: Tree) -> bool:
        """Makes two index sets of one length one; False where their parts do not nest."""
        a, b = self._now(a), self._now(b)
        if a.size != b.size:
            return False
        match a, b:
            case Atom(), Atom():
                self._join(a, b)
                return True
            case Atom(), _:
                self._form[a.cell] = b
                return True
            case _, Atom():
                self._form[b.cell] = a
                return True
            case Prod(), Prod():
                return self._zip_products(a, b)
            case Sum(), _:
                return self._zip_sums(a, b)
            case _, Sum():
                return self._zip_sums(b, a)

    def _join(self, a: Atom, b: Atom) -> None:
        first, last = sorted((a.cell, b.cell))
        self._parent[last] = first

    def _zip_products(self, a: Prod, b: Prod) -> bool:
        """From the inside out: of two last factors the longer one is split."""
        if not a.parts:
            return True
        inner = min(_length(a.parts[-1]), _length(b.parts[-1]))
        left, right = split(a, inner, self.divide), split(b, inner, self.divide)
        if left is None or right is None:
            return False
        return self.unite(left[1], right[1]) and self.unite(left[0], right[0])

    def _zip_sums(self, a: Sum, b: Tree) -> bool:
        """From the front: b is cut where a's first part ends."""
        if not a.parts:
            return True
        first = _length(a.parts[0])
        if isinstance(b, Sum):
            first = min(first, _length(b.parts[0]))
        left, right = cut(a, first, self.divide), cut(b, first, self.divide)
        if left is None or right is None:
            return False
        return self.unite(left[0], right[0]) and self.unite(left[1], right[1])


def _length(tree: Tree) -> int:
    if not isinstance(tree.size, int):
        raise AssertionError("an open length inside of a divided axis")
    return tree.size


NEVER: Divide = lambda atom, kind, a, b: None  # noqa: E731 - a constant of a callable type
