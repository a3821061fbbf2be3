"""Cutting and bordering: slice, split, pad."""

from __future__ import annotations

from qcompile.errors import BadModel
from qcompile.frontends.onnx_call import Call, Opaque, Translator, axis_of
from qcompile.ir.dims import Dim, Symbol
from qcompile.ir.node import Node
from qcompile.ir.ops.shape import Pad, Slice


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
    cuts = [_clamped(*c) for c in zip(lengths, starts, stops, steps, strict=True)]
    whole = all(c == (0, d) for c, d in zip(cuts, lengths, strict=True)) and set(steps) <= {1}
    if whole:
        return x
    return Slice(x, axes, tuple(a for a, _ in cuts), tuple(b for _, b in cuts), steps)


def _clamped(length: Dim, start: Dim, stop: Dim, step: int) -> tuple[int, Dim]:
    """Start and stop inside [0, length], or [−1, length − 1] when walking backwards."""
    if isinstance(length, Symbol):
        return _clamped_open(length, start, stop, step)
    if isinstance(start, Symbol) or isinstance(stop, Symbol):
        raise Opaque("cuts at an open length")
    start, stop = (b + length if b < 0 else b for b in (start, stop))
    if step > 0:
        begin = min(max(start, 0), length)
        return begin, max(min(max(stop, 0), length), begin)
    begin = min(max(start, -1), length - 1)
    end = min(max(stop, -1), length - 1)
    return max(begin, 0), min(end, begin) if begin >= 0 else 0


def _clamped_open(length: Symbol, start: Dim, stop: Dim, step: int) -> tuple[int, Dim]:
    """Only a cut from the front to the very end is certain."""
    to_end = stop == length or (isinstance(stop, int) and stop >= (1 << 31) - 1)
    from_front = isinstance(start, int) and start >= 0 and (start == 0 or step == 1)
    if step > 0 and to_end and from_front:
        assert isinstance(start, int)
        return start, length
    raise Opaque("cuts an open length")


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
