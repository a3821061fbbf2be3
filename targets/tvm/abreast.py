"""Reductions of neighbours: a register of them at a time, the register's lanes combined at the end.

Sums of reals are added in another order than one by one, the same on every machine of one kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from qcompile.targets.tvm.codegen import Kernel
from qcompile.targets.tvm.script import T, Tir
from qcompile.targets.tvm.vector import NAMES, Place

ACCUMULATORS = 4  # run side by side: one alone would wait for itself
NEUTRAL = {"add": 0, "mul": 1}


class AbreastKernel(Kernel):
    """A kernel whose nest has one place a lane and `abreast` steps of its last reduced loop."""

    def _allocate(self) -> list[Tir]:
        count = min(ACCUMULATORS, self.nest.inner[-1] // self.nest.abreast)
        return [
            T.alloc_buffer((self.nest.abreast,), NAMES[self._elem], scope="local")
            for _ in range(count)
        ]

    @property
    def _elem(self) -> str:
        assert self.nest.body is not None
        return self.nest.body.elem

    def _tile(self) -> None:
        nest = self.nest
        self.bases = [T.Bind(self._base(v)) for v in (*nest.views, nest.out)]
        self.loaded = {}
        (place,) = self.places
        assert nest.init is not None
        init = self._place(place, ()).emit(nest.init)
        neutral = self._neutral()
        start = T.broadcast(init, nest.abreast) if neutral is None else neutral
        for acc in self.accumulators:
            self._put(acc, start)
        with ExitStack() as stack:
            self._line([stack.enter_context(T.serial(e)) for e in nest.inner[:-1]])
        self.loaded = {}
        at = self._place(place, ())
        at.acc = T.Bind(self._combined(init, self._total()))
        self._store(at.cast(at.emit(nest.finish), nest.out.elem), place)

    def _line(self, around: Sequence[Tir]) -> None:
        """The last reduced loop: rounds of all accumulators, then the registers that are left."""
        width, length = self.nest.abreast, self.nest.inner[-1]
        stride = width * len(self.accumulators)
        with T.serial(length // stride) as turn:
            self._steps([*around, turn * stride], range(0, stride, width))
        done, whole = length // stride * stride, length // width * width
        self._steps([*around, T.int32(done)], range(0, whole - done, width))
        if length > whole:
            self._steps([*around, T.int32(length - width)], (0,), fresh=length - whole)

    def _steps(
        self, start: Sequence[Tir], offsets: Sequence[int], *, fresh: int | None = None
    ) -> None:
        """A register for each offset; only its last `fresh` lanes are new, if that is said."""
        self.reduced, self.loaded = list(start), {}
        for acc, offset in zip(self.accumulators, offsets, strict=False):
            value = self._register((*(0,) * (len(start) - 1), offset))
            neutral = self._neutral()
            if fresh is not None and neutral is not None:
                old = self.nest.abreast - fresh
                lanes = T.ramp(T.int32(0), 1, self.nest.abreast)
                seen = lanes >= T.broadcast(T.int32(old), self.nest.abreast)
                value = T.Select(seen, value, neutral)
            self._put(acc, self._combined(self._get(acc), value))

    def _register(self, steps: tuple[int, ...]) -> Tir:
        """The body at so many neighbouring steps."""
        (place,) = self.places
        at = Place(
            lanes=self.nest.abreast,
            load=lambda view: self._neighbours(view, place, steps),
            element=self._element,
            pair=lambda view: self._pair(view, place),
        )
        assert self.nest.body is not None
        return at.emit(self.nest.body)

    def _neighbours(self, view: int, place: tuple[int, ...], steps: tuple[int, ...]) -> Tir:
        key = ("l", view, self._constant(view, place, steps))
        return self._once(key, lambda: self._run(view, place, steps))

    def _run(self, view: int, place: tuple[int, ...], steps: tuple[int, ...]) -> Tir:
        at, width = self._address(view, place, steps), self.nest.abreast
        step = self.nest.views[view].steps[-1]
        buffer = self.buffers[view]
        return T.broadcast(buffer[at], width) if step == 0 else buffer[T.ramp(at, step, width)]

    def _neutral(self) -> Tir | None:
        """What changes nothing, in all lanes; None where anything seen twice changes nothing."""
        number = NEUTRAL.get(self.nest.combine)
        if number is None:
            return None
        one = (
            T.FloatImm("float32", float(number))
            if self._elem == "f32"
            else T.IntImm(NAMES[self._elem], number)
        )
        return T.broadcast(one, self.nest.abreast)

    def _total(self) -> Tir:
        """The accumulators' lanes as one number, by halves."""
        values = [self._get(acc) for acc in self.accumulators]
        while len(values) > 1:
            pairs = zip(values[::2], values[1::2], strict=False)
            values = [self._combined(*pair) for pair in pairs] + values[len(values) // 2 * 2 :]
        (value,), width = values, self.nest.abreast
        while width > 1:
            value, width = T.Bind(value), width // 2
            low, high = (
                T.Shuffle([value], list(range(first, first + width))) for first in (0, width)
            )
            value = self._combined(low, high)
        return value

    def _get(self, buffer: Tir) -> Tir:
        return buffer[T.ramp(0, 1, self.nest.abreast)]

    def _put(self, buffer: Tir, value: Tir) -> None:
        T.buffer_store(buffer, value, [T.ramp(0, 1, self.nest.abreast)])
