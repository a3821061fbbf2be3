"""Moving values about: no arithmetic, the unit stays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompile.errors import CalibrationError
from qcompile.ir.dims import Dim, Shape, Symbol, bind, broadcast, is_static, size, static
from qcompile.ir.node import Node, op
from qcompile.ir.types import I64, Array, TensorType
from qcompile.ir.unit import Affine

Values = NDArray[Any]


@op
class Reshape(Node):
    """The same elements in row-major order under another shape."""

    x: Node
    shape: Shape

    def infer(self) -> TensorType:
        x = self.x.type
        before, after = size(x.shape), size(self.shape)
        known = is_static(x.shape) and is_static(self.shape)
        self.require(
            not known or before == after, f"{before} elements into {self.shape}, which has {after}"
        )
        self.require(x.unit is None or x.unit.per_tensor, "wants one scale")
        return TensorType(self.shape, x.elem, x.unit)

    def evaluate(self, *operands: Array) -> Array:
        lengths = zip(self.x.type.shape, operands[0].shape, strict=True)
        shape = bind(self.shape, {d.name: n for d, n in lengths if isinstance(d, Symbol)})
        if sum(isinstance(d, Symbol) for d in shape) > 1:
            raise ValueError(f"{self}: several open dimensions; bind them first")
        return operands[0].reshape(tuple(d if isinstance(d, int) else -1 for d in shape))


@op
class Transpose(Node):
    """Axis i of the result is axis perm[i] of x."""

    x: Node
    perm: tuple[int, ...]

    def infer(self) -> TensorType:
        x = self.x.type
        self.require(sorted(self.perm) == list(range(x.rank)), f"perm {self.perm} of rank {x.rank}")
        return TensorType(tuple(x.shape[p] for p in self.perm), x.elem, self._unit(x.unit))

    def _unit(self, unit: Affine | None) -> Affine | None:
        if unit is None or unit.axis is None:
            return unit
        return replace(unit, axis=self.perm.index(unit.axis))

    def evaluate(self, *operands: Array) -> Array:
        return operands[0].transpose(self.perm)


@op
class Concat(Node):
    """The operands one after the other along `axis`.

    Units must be equal, or per tensor and of different scale: then the result keeps them apart,
    one scale per index of `axis`.
    """

    xs: tuple[Node, ...]
    axis: int

    def infer(self) -> TensorType:
        first = self.xs[0].type
        self.require(0 <= self.axis < first.rank, f"axis {self.axis} of rank {first.rank}")
        total: Dim = 0
        for x in self.xs:
            self.require(x.type.elem == first.elem, f"joins {first.elem} to {x.type.elem}")
            rest = [a == b for a, b in zip(x.type.shape, first.shape, strict=True)]
            del rest[self.axis]
            self.require(all(rest), f"joins {first} to {x.type}")
            total = x.type.shape[self.axis] + total
        shape = (*first.shape[: self.axis], total, *first.shape[self.axis + 1 :])
        return TensorType(shape, first.elem, self._unit())

    def _unit(self) -> Affine | None:
        units = [x.type.unit for x in self.xs]
        if all(u == units[0] for u in units) and (units[0] is None or units[0].per_tensor):
            return units[0]
        scale: list[float] = []
        zero: list[int] = []
        for x, unit in zip(self.xs, units, strict=True):
            length = x.type.shape[self.axis]
            self.require(unit is not None, "joins quantized to unquantized values")
            assert unit is not None
            self.require(unit.axis in (None, self.axis), "joins units of other axes")
            self.require(isinstance(length, int), "wants known lengths")
            assert isinstance(length, int)
            scale += unit.scale * (1 if len(unit.scale) == length else length)
            zero += unit.zero_point * (1 if len(unit.zero_point) == length else length)
        return Affine(tuple(scale), tuple(zero), axis=self.axis)

    def evaluate(self, *operands: Array) -> Array:
        return np.concatenate(operands, self.axis)


@op
class Slice(Node):
    """x[..., start:stop:step, ...] on the axes named; stops are exclusive, steps may be negative.

    Start and stop are as numpy's after clamping: 0 ≤ start ≤ length; with a negative step a stop
    of −1 means "through index 0".
    """

    x: Node
    axes: tuple[int, ...]
    starts: tuple[int, ...]
    stops: tuple[Dim, ...]
    steps: tuple[int, ...]

    def infer(self) -> TensorType:
        x = self.x.type
        same = len(self.axes) == len(self.starts) == len(self.stops) == len(self.steps)
        self.require(same, "wants a start, a stop and a step for each axis")
        shape = list(x.shape)
        for axis, start, stop, step in self._ranges():
            self.require(0 <= axis < x.rank, f"axis {axis} of rank {x.rank}")
            span = stop - start if step > 0 else start - stop
            steps = (span + (abs(step) - 1)) // abs(step)
            shape[axis] = max(steps, 0) if isinstance(steps, int) else steps
        unit = x.unit
        if unit is not None and unit.axis in self.axes:
            unit = self._cut(unit)
        return TensorType(tuple(shape), x.elem, unit)

    def _ranges(self) -> list[tuple[int, int, Dim, int]]:
        return list(zip(self.axes, self.starts, self.stops, self.steps, strict=True))

    def _cut(self, unit: Affine) -> Affine:
        axis = unit.axis
        chosen = slice(None)
        for a, start, stop, step in self._ranges():
            if a == axis:
                chosen = _slice(start, stop, step)
        zero = unit.zero_point if len(unit.zero_point) == 1 else unit.zero_point[chosen]
        return Affine(unit.scale[chosen], zero, axis)

    def evaluate(self, *operands: Array) -> Array:
        index = [slice(None)] * operands[0].ndim
        for axis, start, stop, step in self._ranges():
            index[axis] = _slice(start, stop, step)
        return operands[0][tuple(index)]


def _slice(start: int, stop: Dim, step: int) -> slice:
    if isinstance(stop, Symbol):
        return slice(start, None, step)
    return slice(start, None if step < 0 and stop < 0 else stop, step)


@op
class Gather(Node):
    """x taken at integer `indices` along `axis`; negative indices count from the end."""

    x: Node
    indices: Node
    axis: int

    def infer(self) -> TensorType:
        x, i = self.x.type, self.indices.type
        self.require(0 <= self.axis < x.rank, f"axis {self.axis} of rank {x.rank}")
        self.require(i.elem.is_integer and i.unit is None, f"indices are {i}")
        unit = x.unit
        self.require(unit is None or unit.per_tensor, "wants one scale")
        return TensorType(
            (*x.shape[: self.axis], *i.shape, *x.shape[self.axis + 1 :]), x.elem, unit
        )

    def evaluate(self, *operands: Array) -> Array:
        x, indices = operands
        length = x.shape[self.axis]
        outside = indices[(indices < -length) | (indices >= length)]
        if outside.size:
            raise CalibrationError(
                f"{self}: index {outside[0]} is outside of an axis of length {length}: give "
                "samples with indices that fit"
            )
        return np.take(x, indices.astype(np.int64), self.axis)


@op
class Pad(Node):
    """x with a border (all befores, then all afters; negative ones cut).

    `constant` fills with `value`, on integers with the integer that stands for it; `reflect`,
    `edge` and `wrap` repeat x.
    """

    x: Node
    pads: tuple[int, ...]
    mode: str = "constant"
    value: float = 0.0

    def infer(self) -> TensorType:
        x = self.x.type
        self.require(len(self.pads) == 2 * x.rank, f"{len(self.pads)} pads for rank {x.rank}")
        self.require(self.mode in ("constant", "reflect", "edge", "wrap"), f"mode {self.mode!r}")
        self.require(x.unit is None or x.unit.per_tensor, "wants one scale")
        before, after = self.pads[: x.rank], self.pads[x.rank :]
        shape = tuple(d + (b + a) for d, b, a in zip(x.shape, before, after, strict=True))
        self.require(all(not isinstance(d, int) or d >= 0 for d in shape), "cuts all away")
        return TensorType(shape, x.elem, x.unit)

    @property
    def fill(self) -> float | int:
        """The border's value in x's elements."""
        unit, elem = self.x.type.unit, self.x.type.elem
        if unit is None:
            return self.value if elem.is_float else int(self.value)
        steps = round(self.value / unit.scale[0]) + unit.zero_point[0]
        return min(max(steps, elem.lo), elem.hi)

    def evaluate(self, *operands: Array) -> Array:
        x: Values = operands[0]
        n = x.ndim
        cut = tuple(
            slice(max(-self.pads[i], 0), x.shape[i] - max(-self.pads[n + i], 0)) for i in range(n)
        )
        widths = [(max(self.pads[i], 0), max(self.pads[n + i], 0)) for i in range(n)]
        inner: Values = x[cut]
        if self.mode == "constant":
            return np.pad(inner, widths, constant_values=self.fill)
        return np.pad(inner, widths, mode=self.mode)  # type: ignore[call-overload]


@op
class Expand(Node):
    """x broadcast to `shape`."""

    x: Node
    shape: Shape

    def infer(self) -> TensorType:
        x = self.x.type
        self.require(x.unit is None or x.unit.per_tensor, "wants one scale")
        return TensorType(broadcast(x.shape, self.shape), x.elem, x.unit)

    def evaluate(self, *operands: Array) -> Array:
        shape = np.broadcast_shapes(operands[0].shape, static(self.shape))
        return np.ascontiguousarray(np.broadcast_to(operands[0], shape))


@op
class ShapeOf(Node):
    """The lengths of x as i64[rank], where they are not known before the run."""

    x: Node

    def infer(self) -> TensorType:
        return TensorType((self.x.type.rank,), I64)

    def evaluate(self, *operands: Array) -> Array:
        return np.array(operands[0].shape, np.int64)
