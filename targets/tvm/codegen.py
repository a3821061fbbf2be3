"""The body of a nest's kernel: tasks, tiles, one register after the other.

Register tiles are spelled out, so that LLVM keeps each accumulator in a register; a tile that
would overhang starts earlier instead and computes some places twice, to the same values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import product
from typing import Any

from qcompile.targets.loops import expr as e
from qcompile.targets.loops.nest import Nest, Step, Table, View
from qcompile.targets.tvm.isa import Dot, Isa
from qcompile.targets.tvm.script import T, Tir
from qcompile.targets.tvm.vector import NAMES, Place

HUGE = 1 << 30


class Kernel:
    """The state while one nest is emitted: buffers, loop starts, accumulators."""

    def __init__(self, nest: Nest, isa: Isa) -> None:
        self.nest = nest
        self.isa = isa
        self.starts: list[Tir] = []
        self.bases: list[Tir] = []
        self.reduced: list[Tir] = []
        self.loaded: dict[tuple[Any, ...], Tir] = {}

    def emit(self) -> None:
        """The parameters and the loop over tasks, into the function that is being built."""
        every = (*self.nest.views, self.nest.out)
        handles = [T.arg(f"v{i}", T.handle(NAMES[v.elem])) for i, v in enumerate(every)]
        first, last = T.arg("lo", T.int32()), T.arg("hi", T.int32())
        self.buffers = [
            T.decl_buffer((HUGE,), NAMES[v.elem], data=h)
            for v, h in zip(every, handles, strict=True)
        ]
        self.places = list(product(*(range(t) for t in self.nest.tile)))
        self.accumulators = self._allocate()
        with T.serial(first, last) as task:
            self._tile_of(task)

    def _allocate(self) -> list[Tir]:
        nest = self.nest
        if nest.body is None:
            return []
        elem = "i32" if nest.combine == "dot" else nest.body.elem
        return [T.alloc_buffer((nest.lanes,), NAMES[elem], scope="local") for _ in self.places]

    def _tile_of(self, task: Tir) -> None:
        nest = self.nest
        tiles, n = nest.tiles, len(nest.order)
        index: dict[int, Tir] = {}
        spread = nest.order[: n - nest.inside]
        rest = task
        for loop in reversed(spread):
            index[loop] = T.int32(0) if tiles[loop] == 1 else T.Bind(T.truncmod(rest, tiles[loop]))
            if tiles[loop] > 1:
                rest = T.Bind(T.truncdiv(rest, tiles[loop]))
        with ExitStack() as stack:
            for loop in nest.order[n - nest.inside :]:
                index[loop] = stack.enter_context(T.serial(tiles[loop]))
            self.starts = [self._start(loop, index[loop]) for loop in range(n)]
            self._tile()

    def _start(self, loop: int, index: Tir) -> Tir:
        nest = self.nest
        extent, tile = nest.extents[loop], nest.tile[loop]
        if extent % tile == 0:
            return T.Bind(index * tile)
        return T.Bind(T.min(index * tile, extent - tile))

    def _tile(self) -> None:
        nest = self.nest
        self.bases = [T.Bind(self._base(v)) for v in (*nest.views, nest.out)]
        self.loaded = {}
        if nest.body is not None:
            self.reduced = [T.int32(0)] * len(nest.inner)
            for acc, place in zip(self.accumulators, self.places, strict=True):
                assert nest.init is not None
                self._put(acc, self._place(place, ()).emit(nest.init))
            self._reduce()
            self.loaded = {}
        for i, place in enumerate(self.places):
            at = self._place(place, ())
            at.acc = self._get(self.accumulators[i]) if nest.body is not None else None
            self._store(at.cast(at.emit(nest.finish), nest.out.elem), place)

    # reduction

    def _reduce(self) -> None:
        inner, spelled = self.nest.inner, self.nest.unroll
        with ExitStack() as stack:
            loops = [stack.enter_context(T.serial(e)) for e in inner[: len(inner) - spelled]]
            self.reduced = [*loops, *[T.int32(0)] * spelled]
            self.loaded = {}
            for steps in product(*(range(e) for e in inner[len(inner) - spelled :])):
                self._step((*[0] * len(loops), *steps))

    def _step(self, steps: tuple[int, ...]) -> None:
        body = self.nest.body
        for acc, place in zip(self.accumulators, self.places, strict=True):
            old = self._get(acc)
            if isinstance(body, e.Dot):
                self._put(acc, self._dot(old, body, place, steps))
                continue
            assert body is not None
            value = self._place(place, steps).emit(body)
            self._put(acc, self._combined(old, value))

    def _combined(self, a: Tir, b: Tir) -> Tir:
        match self.nest.combine:
            case "add":
                return a + b
            case "mul":
                return a * b
            case "max":
                return T.max(a, b)
            case "min":
                return T.min(a, b)
            case _:
                raise AssertionError(self.nest.combine)

    def _dot(self, acc: Tir, body: e.Dot, place: tuple[int, ...], steps: tuple[int, ...]) -> Tir:
        lanes, dot = self.nest.lanes, self.isa.dot
        x = self._once(
            ("x", self._constant(body.x, place, steps)), lambda: self._word(body, place, steps)
        )
        at = self._address(body.w, place, steps)
        count = lanes * dot.group
        buffer = self.buffers[body.w]
        w = self._once(
            ("w", self._constant(body.w, place, steps)), lambda: buffer[T.ramp(at, 1, count)]
        )
        kind = f"int32x{lanes}"
        match dot:
            case Dot.VNNI | Dot.SDOT:
                return _call(self.isa.intrinsic, kind, acc, x, w)
            case Dot.MADD:
                return acc + _call(self.isa.intrinsic, kind, x, w)
            case Dot.PLAIN:
                return acc + x * T.cast(w, kind)

    def _word(self, body: e.Dot, place: tuple[int, ...], steps: tuple[int, ...]) -> Tir:
        """One group of x in all lanes, in the form that the dot instruction wants."""
        lanes, dot = self.nest.lanes, self.isa.dot
        buffer, at = self.buffers[body.x], self._address(body.x, place, steps)
        if dot is Dot.PLAIN:
            return T.broadcast(T.cast(buffer[at], "int32"), lanes)
        if dot is Dot.MADD:
            low = T.bitwise_and(T.cast(buffer[at], "int32"), T.int32(0xFFFF))
            high = T.shift_left(T.cast(buffer[at + 1], "int32"), T.int32(16))
            both = T.broadcast(T.bitwise_or(low, high), lanes)
            return T.reinterpret(both, dtype=f"int16x{2 * lanes}")
        word = T.reinterpret(buffer[T.ramp(at, 1, 4)], dtype="int32")
        if body.signed != (dot is Dot.SDOT):
            word = T.bitwise_xor(word, T.int32(-0x7F7F7F80))
        kind = "int8" if dot is Dot.SDOT else "uint8"
        return T.reinterpret(T.broadcast(word, lanes), dtype=f"{kind}x{4 * lanes}")

    # memory

    def _place(self, place: tuple[int, ...], steps: tuple[int, ...]) -> Place:
        return Place(
            lanes=self.nest.lanes,
            load=lambda view: self._load(view, place, steps),
            element=self._element,
            pair=lambda view: self._pair(view, place),
        )

    def _load(self, view: int, place: tuple[int, ...], steps: tuple[int, ...]) -> Tir:
        key = ("l", view, self._constant(view, place, steps))
        return self._once(key, lambda: self._fetch(view, place, steps))

    def _fetch(self, view: int, place: tuple[int, ...], steps: tuple[int, ...]) -> Tir:
        seen, lanes = self.nest.views[view], self.nest.lanes
        at, buffer = self._address(view, place, steps), self.buffers[view]
        if lanes == 1:
            if isinstance(seen.lane, Table):
                at = at + self.buffers[seen.lane.view][self._lane_start(place)]
            return buffer[at]
        if isinstance(seen.lane, Table):
            first = self._lane_start(place)
            looked = self.buffers[seen.lane.view][T.ramp(first, 1, lanes)]
            return buffer[T.broadcast(at, lanes) + looked]
        if seen.lane == 0:
            return T.broadcast(buffer[at], lanes)
        return buffer[T.ramp(at, seen.lane, lanes)]

    def _element(self, view: int, index: Tir) -> Tir:
        seen, lanes = self.nest.views[view], self.nest.lanes
        base, buffer = self.bases[view], self.buffers[view]
        if not any(seen.steps) and not seen.offset and seen.lane == 0:
            return buffer[index]
        if lanes == 1:
            return buffer[base + index]
        spread = T.broadcast(base, lanes) if seen.lane == 0 else T.ramp(base, seen.lane, lanes)
        return buffer[spread + index]

    def _pair(self, view: int, place: tuple[int, ...]) -> tuple[Tir, Tir]:
        half, buffer = self.nest.lanes // 2, self.buffers[view]
        at = self._address(view, place, ())
        return buffer[T.ramp(at, 1, half)], buffer[T.ramp(at + half, 1, half)]

    def _store(self, value: Tir, place: tuple[int, ...]) -> None:
        nest = self.nest
        out, lanes, number = nest.out, nest.lanes, len(nest.views)
        at = self._address(number, place, ())
        assert isinstance(out.lane, int)
        if lanes == 1:
            T.buffer_store(self.buffers[number], value, [at])
        elif nest.exact and nest.outer[-1] < lanes:
            for lane in range(nest.outer[-1]):
                one = T.Shuffle([value], [lane])
                T.buffer_store(self.buffers[number], one, [at + lane * out.lane])
        else:
            T.buffer_store(self.buffers[number], value, [T.ramp(at, out.lane, lanes)])

    # addresses

    def _lane_start(self, place: tuple[int, ...]) -> Tir:
        """The element index, along the lane loop, of the first lane."""
        nest = self.nest
        block = (self.starts[-1] + place[-1]) * nest.lanes
        ragged = nest.exact and nest.outer[-1] % nest.lanes and nest.outer[-1] > nest.lanes
        return T.min(block, nest.outer[-1] - nest.lanes) if ragged else block

    def _base(self, view: View) -> Tir:
        nest = self.nest
        total: Tir = T.int32(view.offset)
        for loop, step in enumerate(view.steps[: len(nest.outer)]):
            if isinstance(step, Table) or step == 0 or nest.tiles[loop] == 1:
                continue
            if loop == len(nest.outer) - 1 and self._ragged_lanes:
                assert isinstance(view.lane, int)
                assert step == view.lane * nest.lanes
                total = total + self._lane_start((0,)) * view.lane
            else:
                total = total + self.starts[loop] * step
        return total

    @property
    def _ragged_lanes(self) -> bool:
        nest = self.nest
        return nest.exact and nest.outer[-1] % nest.lanes > 0 and nest.outer[-1] > nest.lanes

    def _constant(
        self, view: int, place: tuple[int, ...], steps: tuple[int, ...]
    ) -> tuple[Any, ...]:
        """What tells apart the addresses of one view within a tile."""
        seen = (*self.nest.views, self.nest.out)[view]
        loops = (*place, *steps)
        fixed = sum(s * i for s, i in zip(seen.steps, loops, strict=False) if isinstance(s, int))
        looked = tuple(i for s, i in zip(seen.steps, loops, strict=False) if isinstance(s, Table))
        lane = place[-1] if isinstance(seen.lane, Table) else 0
        return (view, fixed, looked, lane)

    def _address(self, view: int, place: tuple[int, ...], steps: tuple[int, ...]) -> Tir:
        seen = (*self.nest.views, self.nest.out)[view]
        _, fixed, _, _ = self._constant(view, place, steps)
        total = self.bases[view]
        for loop, step, index in self._moving(seen, place, steps):
            if isinstance(step, Table):
                total = total + self.buffers[step.view][index]
            elif loop >= len(place):
                total = total + self.reduced[loop - len(place)] * step
        return total + fixed if fixed else total

    def _moving(
        self, seen: View, place: Sequence[int], steps: Sequence[int]
    ) -> Iterator[tuple[int, Step, Tir]]:
        """The loops whose share of the address is not in the base: tables, reduced loops."""
        n = len(place)
        for loop, step in enumerate(seen.steps):
            if loop < n and isinstance(step, Table):
                yield loop, step, self.starts[loop] + place[loop]
            elif loop >= n and step != 0 and steps:
                yield loop, step, self.reduced[loop - n] + steps[loop - n]

    def _once(self, key: tuple[Any, ...], make: Any) -> Tir:
        if key not in self.loaded:
            self.loaded[key] = T.Bind(make())
        return self.loaded[key]

    def _get(self, buffer: Tir) -> Tir:
        return buffer[0] if self.nest.lanes == 1 else buffer[T.ramp(0, 1, self.nest.lanes)]

    def _put(self, buffer: Tir, value: Tir) -> None:
        where = T.int32(0) if self.nest.lanes == 1 else T.ramp(0, 1, self.nest.lanes)
        T.buffer_store(buffer, value, [where])


def _call(intrinsic: str, kind: str, *arguments: Tir) -> Tir:
    number = T.llvm_lookup_intrinsic_id(intrinsic)
    return T.call_llvm_pure_intrin(number, *arguments, dtype=kind)
