"""Cutting and bordering: slice, split, pad."""

from __future__ import annotations

from qcompile.errors import BadModel
from qcompile.frontends.onnx_call import Call, Opaque, Translator, axis_of
from qcompile.ir.dims import Dim, Symbol
from qcompile.ir.node import Node
from qcompile.ir.ops.shape import Pad, Slice
from qcompile.ir.types import TensorType


def _slice(call: Call) -> Node:
    """Attributes before opset 10, inputs since."""
    x = call.x()
    if call.opset < 10:
        starts: tuple[Dim, ...] = call.integers("starts")
        stops: tuple[Dim, ...] = call.integers("ends")
        listed = call.integers("axes", tuple(range(len(starts))))
        steps = (1,) * len(starts)
    else:
        starts, stops = call.dims(1), call.dims(2)
        listed = call.numbers(3) if call.maybe(3) else tuple(range(len(starts)))
        steps = call.numbers(4) if call.maybe(4) else (1,) * len(starts)
    if not len(starts) == len(stops) == len(listed) == len(steps) or 0 in steps:
        raise BadModel(f"{call}: starts, ends, axes, steps {starts}, {stops}, {listed}, {steps}")
    axes = tuple(axis_of(call, a, x.type.rank) for a in listed)
    if len(set(axes)) != len(axes):
        raise BadModel(f"{call}: axes {list(axes)} repeat")
    lengths = tuple(x.type.shape[a] for a in axes)
    asked = list(zip(lengths, starts, stops, steps, strict=True))
    cuts = [cut for cut in (_cut(*c) for c in asked) if cut is not None]
    if len(cuts) != len(asked):
        raise Opaque("cuts at an open length", _open_type(x, axes, asked))
    whole = all(c == (0, d) for c, d in zip(cuts, lengths, strict=True)) and set(steps) <= {1}
    if whole:
        return x
    return Slice(x, axes, tuple(a for a, _ in cuts), tuple(b for _, b in cuts), steps)


_END = (1 << 31) - 1  # and what exporters write for "to the end"


def _cut(length: Dim, start: Dim, stop: Dim, step: int) -> tuple[int, Dim] | None:
    """Clamped start and stop; of an open length only a cut from the front to the end is certain."""
    if isinstance(start, Symbol):
        return None
    if isinstance(length, int) and isinstance(stop, int):
        return _clamped(length, start, stop, step)
    to_end = stop == length or (isinstance(stop, int) and stop >= _END)
    if to_end and start >= 0 and (step == 1 or (step > 0 and start == 0)):
        return start, length
    return None


def _clamped(length: int, start: int, stop: int, step: int) -> tuple[int, int]:
    """Inside [0, length], or [−1, length − 1] when walking backwards."""
    start, stop = (b + length if b < 0 else b for b in (start, stop))
    if step > 0:
        begin = min(max(start, 0), length)
        return begin, max(min(max(stop, 0), length), begin)
    begin = min(max(start, -1), length - 1)
    end = min(max(stop, -1), length - 1)
    return max(begin, 0), min(end, begin) if begin >= 0 else 0


def _open_type(
    x: Node, axes: tuple[int, ...], asked: list[tuple[Dim, Dim, Dim, int]]
) -> TensorType | None:
    """A cut from 0 to an open length, which is taken to lie within the axis, has that length."""
    shape = list(x.type.shape)
    for axis, (length, start, stop, step) in zip(axes, asked, strict=True):
        if step == 1 and start == 0 and isinstance(stop, Symbol):
            shape[axis] = stop
        elif _cut(length, start, stop, step) != (0, length) or step != 1:
            return None
    return TensorType(tuple(shape), x.type.elem)


def _split(call: Call) -> tuple[Node, ...]:
    x = call.x()
    axis = axis_of(call, call.integer("axis", 0), x.type.rank)
    length = x.type.shape[axis]
    if not isinstance(length, int):
        raise Opaque("splits an open length")
    sizes = call.integers("split", ()) if call.maybe(1) is None else call.numbers(1)
    if not sizes:
        count = len(call.node.output)
        if call.integer("num_outputs", count) != count:
            raise BadModel(f"{call}: num_outputs differs from its {count} outputs")
        each = -(-length // count)
        if call.opset < 18 and length % count:
            raise BadModel(f"{call}: length {length} does not divide into {count} parts")
        sizes = tuple(min(each, length - each * i) for i in range(count))
    if sum(sizes) != length or min(sizes) < 0 or len(sizes) != len(call.node.output):
        raise BadModel(f"{call}: splits length {length} into {list(sizes)}")
    stops = tuple(sum(sizes[: i + 1]) for i in range(len(sizes)))
    return tuple(
        Slice(x, (axis,), (stop - n,), (stop,), (1,)) for n, stop in zip(sizes, stops, strict=True)
    )


def _pad(call: Call) -> Node:
    """Attributes before opset 11, inputs since; `axes` since 18."""
    x = call.x()
    mode = call.text("mode", "constant")
    if call.opset < 11:
        pads = call.integers("pads") if call.opset >= 2 else call.integers("paddings")
        value = call.real("value", 0.0)
    else:
        pads = call.numbers(1)
        value = 0.0 if call.maybe(2) is None else call.number(2)
    rank = x.type.rank
    listed = call.numbers(3) if call.maybe(3) else tuple(range(rank))
    if len(pads) != 2 * len(listed):
        raise BadModel(f"{call}: {len(pads)} pads for {len(listed)} axes")
    full = [0] * (2 * rank)
    for i, axis in enumerate(listed):
        place = axis_of(call, axis, rank)
        full[place], full[rank + place] = pads[i], pads[len(listed) + i]
    if not any(full):
        return x
    if 0 in x.type.shape or (mode == "reflect" and _too_wide(x, full)):
        raise Opaque("borders wider than the tensor")
    return Pad(x, tuple(full), mode, value)


def _too_wide(x: Node, pads: list[int]) -> bool:
    lengths = [*x.type.shape, *x.type.shape]
    return any(isinstance(d, int) and p >= d for d, p in zip(lengths, pads, strict=True))


SLICE: dict[str, Translator] = {"Slice": _slice, "Split": _split, "Pad": _pad}
