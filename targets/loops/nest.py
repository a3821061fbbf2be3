"""A loop nest as plain data: what a kernel iterates over, reads, computes and writes.

A `Nest` says everything that code generation needs and nothing of tensors: it can be compared,
hashed, pickled to the compiler process and printed. Loops run over output places first (the last
one counts blocks of lanes), then over what is reduced.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

from qcompile.targets.loops.expr import Expr

BYTES = {"u8": 1, "i8": 1, "bool": 1, "u16": 2, "i16": 2, "i32": 4, "f32": 4, "i64": 8}
NIBBLES = ("u4", "i4")  # two to a byte, the even element in the low half


def nbytes(count: int, elem: str) -> int:
    """Bytes that so many elements take."""
    return -(-count // 2) if elem in NIBBLES else count * BYTES[elem]


@dataclass(frozen=True, slots=True)
class Table:
    """A step that is looked up: the i32 that view number `view` holds at the loop's index.

    All entries are multiples of `multiple`.
    """

    view: int
    multiple: int = 1


Step: TypeAlias = int | Table


@dataclass(frozen=True, slots=True)
class View:
    """How a nest sees one array of `elem`: element = offset + Σ index · step + lane · `lane`.

    `steps` has one entry per loop; the entry of the lane loop counts from block to block. `lane`
    is the distance between lanes: 1 contiguous, 0 the same for all. `const`: a compile-time array.
    """

    elem: str
    steps: tuple[Step, ...]
    lane: Step
    offset: int = 0
    const: bool = False


@dataclass(frozen=True, slots=True)
class Also:
    """A second result at the same places: where it goes, and what it is."""

    out: View
    result: Expr


@dataclass(frozen=True, slots=True)
class Nest:
    """for each output place: y = finish(reduce over `inner` of body, from init).

    `outer`: output extents; the last counts *elements* along the lanes, run in blocks of `lanes`.
    `exact`: nothing may be written past the last lane; otherwise the last block is written whole.
    `inner`: reduced extents (empty: a map, `body` is None). `combine`: add max min, or `dot`.
    `tile`: how many places of each output loop (blocks, for the last) are computed together.
    `order`: output loops from slowest to fastest. `unroll`: innermost reduced loops spelled out.
    `also`: further results of the same places, written beside `finish`. `abreast`: so many steps of
    the last reduced loop are computed side by side, where one lane is one place.
    """

    outer: tuple[int, ...]
    inner: tuple[int, ...]
    views: tuple[View, ...]
    out: View
    body: Expr | None
    combine: str
    init: Expr | None
    finish: Expr
    lanes: int
    exact: bool = False
    tile: tuple[int, ...] = ()
    order: tuple[int, ...] = ()
    unroll: int = 0
    inside: int = 0
    also: tuple[Also, ...] = ()
    abreast: int = 1

    @property
    def blocks(self) -> int:
        """How many blocks of lanes there are."""
        return -(-self.outer[-1] // self.lanes)

    @property
    def extents(self) -> tuple[int, ...]:
        """Output extents with the last in blocks."""
        return (*self.outer[:-1], self.blocks)

    @property
    def tiles(self) -> tuple[int, ...]:
        """How many tiles cover each output loop."""
        return tuple(-(-e // t) for e, t in zip(self.extents, self.tile, strict=True))

    @property
    def tasks(self) -> int:
        """How many pieces of work can run side by side."""
        count = 1
        for loop in self.order[: len(self.order) - self.inside]:
            count *= self.tiles[loop]
        return count


def collapse(nest: Nest) -> Nest:
    """Merges neighbouring output loops wherever every view walks them as one."""
    i = 0
    while i < len(nest.outer) - 2:
        if _mergeable(nest, i):
            nest = _merge(nest, i)
        else:
            i += 1
    return nest


def drop_unit_loops(nest: Nest) -> Nest:
    """Leaves out loops of one step, but for the lane loop."""
    n = len(nest.outer)
    kept_outer = [i for i in range(n - 1) if nest.outer[i] > 1] + [n - 1]
    kept_inner = [i for i in range(len(nest.inner)) if nest.inner[i] > 1]
    kept = kept_outer + [n + i for i in kept_inner]

    def narrow(view: View) -> View:
        gone = [s for i, s in enumerate(view.steps) if i not in kept]
        if any(isinstance(s, Table) for s in gone):
            raise AssertionError("a table on a loop of one step")
        return replace(view, steps=tuple(view.steps[i] for i in kept))

    if nest.inner and not kept_inner:
        kept_inner, kept = [0], [*kept_outer, n]
    return replace(
        nest,
        outer=tuple(nest.outer[i] for i in kept_outer),
        inner=tuple(nest.inner[i] for i in kept_inner),
        views=tuple(narrow(v) for v in nest.views),
        out=narrow(nest.out),
        also=tuple(Also(narrow(a.out), a.result) for a in nest.also),
    )


def _mergeable(nest: Nest, i: int) -> bool:
    return all(
        isinstance(a := view.steps[i], int)
        and isinstance(b := view.steps[i + 1], int)
        and a == b * nest.outer[i + 1]
        for view in (*nest.views, nest.out, *(a.out for a in nest.also))
    )


def _merge(nest: Nest, i: int) -> Nest:
    def merged(view: View) -> View:
        return replace(view, steps=view.steps[:i] + view.steps[i + 1 :])

    outer = (*nest.outer[:i], nest.outer[i] * nest.outer[i + 1], *nest.outer[i + 2 :])
    return replace(
        nest,
        outer=outer,
        views=tuple(merged(v) for v in nest.views),
        out=merged(nest.out),
        also=tuple(Also(merged(a.out), a.result) for a in nest.also),
    )
