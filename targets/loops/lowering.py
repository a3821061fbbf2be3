"""Groups → steps: layouts, buffers and nests for a whole graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from qcompile.analysis.bounds import Bounds
from qcompile.ir.dims import static
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.source import Const
from qcompile.program.places import as_it_is
from qcompile.program.program import Buffer
from qcompile.targets.loops import expr as e
from qcompile.targets.loops.draft import (
    Arg,
    Draft,
    External,
    Origin,
    Step_,
    Stored,
    Value,
    Weights,
)  # fmt: skip
from qcompile.targets.loops.fuse import Group
from qcompile.targets.loops.layout import SLACK, Layout, dense, packed, padded_width
from qcompile.targets.loops.nest import Also, Nest, View, nbytes
from qcompile.targets.loops.pointwise import Chain, stored

Halo = tuple[tuple[int, int], ...]
Contract: TypeAlias = "Callable[[Any, Group], None]"


@dataclass
class Lowering:
    """What is known while a graph is lowered: where each value lies, and the steps so far.

    A machine's own lowering says how many `lanes` a block has and overrides what is asked of it:
    kernels for contractions, formats in memory, how a nest is run.
    """

    graph: Graph
    lanes: int
    paired: bool = False
    weights: Weights = field(default_factory=Weights)
    bounds: Bounds = field(default_factory=Bounds)
    values: dict[Node, Value] = field(default_factory=dict[Node, Value])
    steps: list[Step_] = field(default_factory=list[Step_])
    wanted: dict[Node, Layout] = field(default_factory=dict[Node, Layout])
    formats: dict[Node, str] = field(default_factory=dict[Node, str])
    halos: dict[Node, tuple[Halo, float]] = field(default_factory=dict[Node, tuple[Halo, float]])
    beside: dict[Node, Group] = field(default_factory=dict[Node, Group])
    copies: dict[tuple[Node, Layout, float, str], Value] = field(
        default_factory=dict[tuple[Node, Layout, float, str], Value]
    )

    # the machine

    def contraction(self, node: Conv | ConvTranspose | MatMul) -> Contract:
        """The kernel family for a sum of products."""
        raise NotImplementedError

    def scheduled(self, nest: Nest) -> Nest:
        """The nest as the machine shall run it."""
        return nest

    def format_of(self, group: Group) -> str:
        """The format in which the group's result lies in memory."""
        return stored(group.head.type.elem)

    def padded(self, extent: int, elem: str) -> int:
        """The stored extent of an innermost axis."""
        return padded_width(extent)

    def companions(self, every: Sequence[Group]) -> Mapping[Node, Group]:
        """Groups that are written along with others, by the others' heads."""
        return {}

    def byte_lanes(self, channels: int) -> int:
        """Lanes for a nest that works on bytes only."""
        return self.lanes

    # memory

    def packed(self, shape: Sequence[int], order: Sequence[int], elem: str) -> Layout:
        """A layout without halo, its innermost axis padded as the machine wants it."""
        return packed(tuple(shape), tuple(order), lambda extent: self.padded(extent, elem))

    def row_major(self, shape: Sequence[int], elem: str) -> Layout:
        """Axes as they are written, the last one innermost."""
        return self.packed(shape, range(len(shape)), elem)

    def buffer(self, node: Node, layout: Layout, elem: str) -> Buffer:
        """A new buffer."""
        name = f"{len(self.steps)}.{len(self.values)}.{len(self.copies)}.{node.name or node.op}"
        return Buffer(name, nbytes(layout.size + SLACK, elem))

    def allocate(self, node: Node, layout: Layout | None = None) -> Value:
        """Memory for a node's result, with the layout (and halo) that was wanted for it."""
        elem = self.formats.get(node, stored(node.type.elem))
        fill: float = 0
        if layout is None:
            layout = self.wanted[node]
            if node in self.halos:
                halo, fill = self.halos[node]
                layout = layout.with_halo(halo)
        value = Value(self.buffer(node, layout, elem), layout, elem, fill)
        self.values[node] = value
        return value

    def scratch(self, node: Node, shape: Sequence[int], elem: str) -> Value:
        """Row-major memory for an intermediate result of a node's own."""
        layout = self.row_major(shape, elem)
        name = f"{len(self.steps)}.{node.name or node.op}.{elem}"
        return Value(Buffer(name, nbytes(layout.size + SLACK, elem)), layout, elem)

    def dense_scratch(self, node: Node, shape: tuple[int, ...], elem: str) -> Value:
        """Memory without any padding."""
        layout = dense(shape)
        name = f"{len(self.steps)}.{node.name or node.op}.dense"
        return Value(Buffer(name, nbytes(layout.size + SLACK, elem)), layout, elem)

    def value(self, node: Node) -> Value:
        """The node's value in memory; a constant's lies in the weights file."""
        if isinstance(node, Const) and node not in self.values:
            array = node.array
            layout = dense(static(node.type.shape))
            where = self.weights.put(array, Origin(node, as_it_is))
            self.values[node] = Value(where, layout, stored(node.type.elem))
        return self.values[node]

    def read(
        self,
        node: Node,
        order: Sequence[int],
        halo: Halo | None = None,
        fill: float = 0,
        elem: str | None = None,
    ) -> Value:
        """The value with its axes in this order, neighbours along the last, halo and all.

        Copied when it lies otherwise. A larger halo than asked for is as good. `elem`: the format
        in memory, if it matters.
        """
        value = self.value(node)
        elem = elem or value.elem
        none = ((0, 0),) * len(order)
        halo = halo or none
        if value.elem == elem and _serves(value, tuple(order), halo, fill):
            return value
        shape = static(node.type.shape)
        layout = self.packed(shape, order, elem).with_halo(halo)
        key = (node, layout, fill, elem)
        if key not in self.copies:
            where = self.buffer(node, layout, elem)
            copy = Value(where, layout, elem, fill)
            self.copies[key] = copy
            self.move(node, value, copy, shape)
        return self.copies[key]

    # steps

    def move(self, node: Node, source: Value, target: Value, shape: Sequence[int]) -> None:
        """Copies a value from one layout to another."""
        draft = self.draft(shape, target.layout.order)
        number = draft.view(
            source.where, source.elem, source.layout.strides, offset=source.layout.offset
        )
        self.finish(node, draft, target, e.load(number, source.elem))

    def copy(self, node: Node, source: Value, target: Value) -> None:
        """Copies between layouts where nothing may be touched past the caller's arrays."""
        shape, order = target.layout.shape, target.layout.order
        run = shape[order[-1]] if order else 1
        lanes = None if run >= self.lanes else 1
        draft = self.draft(shape, order, lanes=lanes, exact=True)
        number = draft.view(
            source.where, source.elem, source.layout.strides, offset=source.layout.offset
        )
        self.finish(node, draft, target, e.load(number, source.elem))

    def draft(
        self,
        shape: Sequence[int],
        order: Sequence[int],
        *,
        lanes: int | None = None,
        grid: Sequence[tuple[int, int]] = (),
        exact: bool = False,
    ) -> Draft:
        """A nest to be written over the places of `shape`."""
        width = lanes or self.lanes
        return Draft(self.weights, shape, order, width, grid=grid, exact=exact)

    def chain(self, group: Group, draft: Draft) -> Chain:
        """The group's pointwise part over a draft's places."""
        paired = self.paired and draft.lanes > 1 and not draft.exact
        for node in group.reads:
            self.value(node)
        return Chain(draft, self.values, frozenset(group.members), self.bounds, paired)

    def finish(
        self,
        node: Node,
        draft: Draft,
        target: Value,
        result: e.Expr,
        *,
        inner: Sequence[int] = (),
        body: e.Expr | None = None,
        combine: str = "",
        init: e.Expr | None = None,
        border: Value | bool = True,
        place: tuple[Sequence[int], int] | None = None,
        beside: Sequence[tuple[Node, Value, e.Expr]] = (),
    ) -> None:
        """The step that writes `result` (after reducing `body`) to the target's places.

        `place`: strides and offset that replace those of the target's layout. `border`: what halo
        is filled before, the target's own unless said otherwise. `beside`: what else is written.
        """
        if 0 in draft.extents():
            return
        own, offset = place or (target.layout.strides, target.layout.offset)
        strides, start = draft.on_grid(own)
        out = draft.made(target.elem, strides, offset=offset + start)
        assert draft.exact or not isinstance(target.where, External)
        narrow = target.layout.width < 16 and draft.lanes > 1
        loops = len(draft.extents()) + len(inner)
        nest = Nest(
            outer=draft.extents(),
            inner=tuple(inner),
            views=tuple(_long(v, loops) for v in draft.views),
            out=_long(out, loops),
            body=body,
            combine=combine,
            init=init,
            finish=result,
            lanes=draft.lanes,
            exact=draft.exact or narrow,
            also=tuple(self._also(draft, value, made, loops) for _, value, made in beside),
        )
        around = target if border is True else border
        halo = around if isinstance(around, Value) and around.layout.has_halo else None
        args: tuple[Arg, ...] = (*draft.args, target.where)
        shown = self.values.get(node)
        at = target.where
        shows = (
            shown if shown is not None and isinstance(at, Buffer) and at == shown.where else None
        )
        more = tuple((other, value) for other, value, _ in beside)
        self.steps.append(Step_(node, self.scheduled(nest), args, halo, shows, beside=more))

    def _also(self, draft: Draft, value: Value, result: e.Expr, loops: int) -> Also:
        strides, start = draft.on_grid(value.layout.strides)
        out = draft.made(value.elem, strides, offset=value.layout.offset + start)
        return Also(_long(out, loops), result)


def _serves(value: Value, order: tuple[int, ...], halo: Halo, fill: float) -> bool:
    layout = value.layout
    if isinstance(value.where, External | Stored):
        return False
    long = [a for a in layout.order if layout.shape[a] > 1]
    wanted = [a for a in order if layout.shape[a] > 1]
    if long != wanted or (layout.inner != order[-1] and layout.shape[order[-1]] > 1):
        return False
    enough = all(
        have[0] >= need[0] and have[1] >= need[1]
        for have, need in zip(layout.halo, halo, strict=True)
    )
    padded = any(b or a for b, a in halo)
    return enough and (not padded or value.fill == fill)


def _long(view: View, loops: int) -> View:
    """The view with a step for each loop: what was written before the reduction was known."""
    return replace(view, steps=view.steps + (0,) * (loops - len(view.steps)))
