"""A nest while it is being written: views and their arrays side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qcompile.ir.node import Node
from qcompile.ir.ops.source import Const
from qcompile.program.program import Buffer
from qcompile.targets.loops import expr as e
from qcompile.targets.loops.layout import Layout
from qcompile.targets.loops.nest import Nest, Step, Table, View

Ints = NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class Stored:
    """A place in the weights file."""

    offset: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class External:
    """An array of the caller's: input or output number `index`."""

    index: int
    output: bool


@dataclass(frozen=True, eq=False)
class Origin:
    """A constant, and how its elements were moved to make a stored array of them: `arrange` takes
    any numbers of the constant's shape, and adds zeros. `bits` where they were packed after that.
    """

    const: Const
    arrange: Callable[[NDArray[Any]], NDArray[Any]]
    bits: int | None = None


Arg: TypeAlias = Buffer | Stored | External


@dataclass(frozen=True, slots=True)
class Value:
    """A value in memory: where, in which layout, and what its halo holds."""

    where: Arg
    layout: Layout
    elem: str
    fill: float = 0


@dataclass(frozen=True, slots=True)
class Step_:
    """One kernel call of the program: which node it computes, its nest and its arrays.

    `border`: a halo to fill first. `shows`: where the node's value lies when the step is done.
    `plan`: what a machine says of the way in which the nest is run, if anything. `beside`: further
    nodes that are computed along, and their values; the kernel is given their memory last.
    """

    node: Node
    nest: Nest
    args: tuple[Arg, ...]
    border: Value | None = None
    shows: Value | None = None
    plan: object = None
    beside: tuple[tuple[Node, Value], ...] = ()


@dataclass
class Weights:
    """The weights as they grow: arrays at multiples of 64 bytes, equal ones once.

    `origins`: of those that hold a constant of the graph, less its zero point, which it is, and
    the type of its elements there.
    """

    parts: list[bytes] = field(default_factory=list[bytes])
    size: int = 0
    known: dict[bytes, Stored] = field(default_factory=dict[bytes, Stored])
    origins: dict[Stored, tuple[Origin, np.dtype[Any]]] = field(
        default_factory=dict["Stored", "tuple[Origin, np.dtype[Any]]"]
    )

    def put(self, array: Ints, of: Origin | None = None) -> Stored:
        """The place of an array. At least 64 bytes behind it may be read."""
        data = np.ascontiguousarray(array)
        key = sha256(data.dtype.str.encode() + data.tobytes()).digest()
        if key not in self.known:
            self.known[key] = Stored(self.size, data.nbytes)
            self.parts.append(data.tobytes() + bytes(-data.nbytes % 64 + 64))
            self.size += len(self.parts[-1])
        if of is not None:
            self.origins.setdefault(self.known[key], (of, data.dtype))
        return self.known[key]


class Draft:
    """Views over the output places of `shape`, run in `order`, `lanes` at a time.

    `grid` says (start, step) per axis: place i stands for index start + i·step of the values that
    are read alongside, which matters where only every other place is computed. `exact`: nothing
    past the last place may be written (or, in arrays of the caller's, read).
    """

    def __init__(
        self,
        weights: Weights,
        shape: Sequence[int],
        order: Sequence[int],
        lanes: int,
        *,
        grid: Sequence[tuple[int, int]] = (),
        exact: bool = False,
    ) -> None:
        self.weights = weights
        self.shape = tuple(shape)
        self.order = tuple(order) or (0,)
        self.lanes = lanes
        self.exact = exact
        self.grid = tuple(grid) or ((0, 1),) * len(self.shape)
        self.inner: tuple[int, ...] = ()
        self.views: list[View] = []
        self.args: list[Arg] = []
        self._known: dict[tuple[View, Arg], int] = {}

    def view(
        self,
        arg: Arg,
        elem: str,
        strides: Sequence[Step],
        *,
        offset: int = 0,
        inner: Sequence[Step] = (),
        block: Step | None = None,
        lane: Step | None = None,
    ) -> int:
        """A view with one stride per output axis; the number under which expressions know it.

        `block` and `lane` replace what the innermost axis' stride says.
        """
        made = self.made(elem, strides, offset=offset, inner=inner, block=block, lane=lane)
        if isinstance(arg, Stored):
            made = View(made.elem, made.steps, made.lane, made.offset, const=True)
        if (made, arg) not in self._known:
            self._known[made, arg] = len(self.views)
            self.views.append(made)
            self.args.append(arg)
        return self._known[made, arg]

    def made(
        self,
        elem: str,
        strides: Sequence[Step],
        *,
        offset: int = 0,
        inner: Sequence[Step] = (),
        block: Step | None = None,
        lane: Step | None = None,
    ) -> View:
        """The view alone."""
        ordered = [strides[a] if strides else 0 for a in self.order]
        last = ordered[-1]
        if lane is None:
            lane = last
        if block is None:
            block = last * self.lanes if isinstance(last, int) else 0
        reduced = tuple(inner) or (0,) * len(self.inner)
        return View(elem, (*ordered[:-1], block, *reduced), lane, offset)

    def read(self, value: Value, shape: Sequence[int], *, widen: str | None = None) -> e.Load:
        """The value's element at the output place, broadcast from `shape`."""
        strides = broadcast_strides(value.layout.strides, shape, self.shape)
        strides, start = self.on_grid(strides)
        number = self.view(value.where, value.elem, strides, offset=value.layout.offset + start)
        return load_of(number, value.elem, widen)

    def constant(self, array: Ints, elem: str, *, widen: str | None = None) -> e.Load:
        """A constant that broadcasts to the output places."""
        shape = (1,) * (len(self.shape) - array.ndim) + array.shape
        array = array.reshape(shape)
        axes = [a for a in self.order if shape[a] > 1]
        rest = [a for a in range(array.ndim) if a not in axes]
        stored = array.transpose((*rest, *axes))
        stored = _pad_last(stored, self.lanes) if axes and axes[-1] == self.order[-1] else stored
        strides = [0] * len(shape)
        step = 1
        for axis, length in zip(reversed(axes), reversed(stored.shape), strict=False):
            strides[axis] = step
            step *= length
        strides, start = self.on_grid(strides)
        number = self.view(self.weights.put(stored), elem, strides, offset=start)
        return load_of(number, elem, widen)

    def on_grid(self, strides: Sequence[int]) -> tuple[tuple[int, ...], int]:
        """Strides from place to place, and the offset of the first place."""
        start = sum(s * g[0] for s, g in zip(strides, self.grid, strict=True))
        return tuple(s * g[1] for s, g in zip(strides, self.grid, strict=True)), start

    def table(self, entries: Ints) -> Table:
        """A step that is looked up at the loop's index."""
        steps = np.asarray(entries).astype(np.int32)
        number = self.view(self.weights.put(steps), "i32", (0,) * len(self.shape))
        return Table(number, int(np.gcd.reduce(steps.reshape(-1), initial=0)) or 1)

    def extents(self) -> tuple[int, ...]:
        """Output extents in loop order."""
        return tuple(self.shape[a] for a in self.order) if self.shape else (1,)


def load_of(number: int, elem: str, widen: str | None = None) -> e.Load:
    """A load widened to i32 (floats and i64 stay), with the element's bounds."""
    if elem in ("f32", "i64"):
        return e.load(number, widen or elem)
    bits = {
        "u8": (0, 255), "i8": (-128, 127), "bool": (0, 1), "i16": (-32768, 32767), "u4": (0, 15),
        "i4": (-8, 7),
    }  # fmt: skip
    lo, hi = bits.get(elem, e.INT32)
    return e.load(number, widen or "i32", lo=lo, hi=hi)


def broadcast_strides(
    strides: Sequence[int], shape: Sequence[int], target: Sequence[int]
) -> tuple[int, ...]:
    """Strides for the axes of `target`, 0 where the value repeats."""
    lead = len(target) - len(shape)
    own = [s if d > 1 else 0 for s, d in zip(strides, shape, strict=True)]
    return (0,) * lead + tuple(own)


def _pad_last(array: Ints, lanes: int) -> Ints:
    room = -array.shape[-1] % max(lanes, 16)
    return np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, room)])
