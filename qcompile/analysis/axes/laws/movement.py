"""Laws of operations that move values about: their axes are parts of their operand's axes."""

from __future__ import annotations

from collections.abc import Iterator

from qcompile.analysis.axes.laws.law import Factor, Law, Port, Segment, frozen, kept, same
from qcompile.analysis.axes.laws.reshape import reshape_laws
from qcompile.ir.dims import Dim
from qcompile.ir.node import Node
from qcompile.ir.ops.resize import ResizeLinear, ResizeNearest
from qcompile.ir.ops.shape import Concat, Expand, Gather, Pad, Reshape, Slice, Transpose
from qcompile.ir.ops.source import Const


def movement_laws(node: Node) -> Iterator[Law] | None:
    """The laws of an operation that only moves values; None for any other.

    Maps may differ along those axes only whose indices stay where they are.
    """
    laws = _moves(node)
    return None if laws is None else _aligned(list(laws))


def _aligned(laws: list[Law]) -> Iterator[Law]:
    free = [law for law in laws if law.permutes]
    for law in laws:
        others = (other.ports[0] for other in free if other is not law)
        yield law if law.across is not None else law.only_across(*others)


def _moves(node: Node) -> Iterator[Law] | None:
    match node:
        case Reshape(x=x):
            return reshape_laws(node, x)
        case Transpose(x=x, perm=perm):
            return (same(Port(node, i), Port(x, p)) for i, p in enumerate(perm))
        case Expand(x=x):
            return _expand(node, x)
        case Pad():
            return _pad(node)
        case _:
            return _selection_laws(node)


def _selection_laws(node: Node) -> Iterator[Law] | None:
    match node:
        case Concat():
            return _concat(node)
        case Slice():
            return _slice(node)
        case Gather():
            return _gather(node)
        case ResizeNearest(x=x, indices=indices):
            return _resize(node, x, len(indices))
        case ResizeLinear(x=x, low=low):
            return _resize(node, x, len(low))
        case _:
            return None


def _concat(node: Concat) -> Iterator[Law]:
    for axis in range(node.type.rank):
        if axis != node.axis:
            yield same(Port(node, axis), *(Port(x, axis) for x in node.xs))
    lengths = [x.type.shape[node.axis] for x in node.xs]
    start = 0
    for x, length in zip(node.xs, lengths, strict=True):
        if not isinstance(length, int) or not isinstance(node.type.shape[node.axis], int):
            why = "joins parts of open length"
            yield from (frozen(Port(v, node.axis), why=why) for v in (node, x))
            continue
        part = Segment(start, start + length)
        yield same(Port(node, node.axis, part), Port(x, node.axis))
        start += length


def _slice(node: Slice) -> Iterator[Law]:
    ranges = dict(
        zip(node.axes, zip(node.starts, node.stops, node.steps, strict=True), strict=True)
    )
    for axis in range(node.type.rank):
        if axis in ranges:
            yield from _taken(node, axis, *ranges[axis])
        else:
            yield same(Port(node, axis), Port(node.x, axis))


def _taken(node: Slice, axis: int, start: int, stop: Dim, step: int) -> Iterator[Law]:
    length, kept_length = node.x.type.shape[axis], node.type.shape[axis]
    own, source = Port(node, axis), Port(node.x, axis)
    if length == kept_length and step == 1:
        yield same(own, source)
    elif not isinstance(length, int) or not isinstance(kept_length, int) or step < 0:
        yield from (frozen(port, why="takes indices in another order") for port in (own, source))
    elif step == 1:
        yield same(own, Port(node.x, axis, Segment(start, start + kept_length)))
    elif start < step and length % step == 0 and kept_length == length // step:
        yield same(own, Port(node.x, axis, Factor(kept_length, step)))
        yield frozen(Port(node.x, axis, Factor(step, 1)), why="takes one index of each tuple")
    else:
        yield from (frozen(port, why=f"takes each {step}-th index") for port in (own, source))


def _gather(node: Gather) -> Iterator[Law]:
    """x taken along one axis: the others stay, what is looked up along may not change."""
    x, indices, axis = node.x, node.indices, node.axis
    others = [i for i in range(x.type.rank) if i != axis]
    shift = indices.type.rank - 1
    ports = [(Port(node, i if i < axis else i + shift), Port(x, i)) for i in others]
    for own, source in ports:
        yield same(own, source).only_across(*(p for p, _ in ports if p is not own))
    for i in range(indices.type.rank):
        yield kept(Port(node, axis + i), Port(indices, i), why="gather looks each index up apart")
    length = x.type.shape[axis]
    match indices:
        case Const() if indices.data.size == 1 and isinstance(length, int):
            chosen = int(indices.array.reshape(())) % length
            yield frozen(Port(x, axis, Segment(chosen, chosen + 1)), why="one index is taken")
        case _:
            yield frozen(Port(x, axis), why="gather looks indices up along it")


def _pad(node: Pad) -> Iterator[Law]:
    x, rank = node.x, node.type.rank
    padded = [i for i in range(rank) if node.pads[i] or node.pads[rank + i]]
    plain = node.mode != "constant" or node.value == 0
    for axis in range(rank):
        own, source = Port(node, axis), Port(x, axis)
        if axis in padded:
            yield from (frozen(port, why="pad lengthens it") for port in (own, source))
        elif plain:
            across = [Port(node, i) for i in range(rank) if i != axis and i not in padded]
            yield same(own, source).only_across(*across)
        else:
            yield kept(own, source, why=f"pad puts {node.value:g} at all indices")


def _expand(node: Expand, x: Node) -> Iterator[Law]:
    shift = node.type.rank - x.type.rank
    for axis, length in enumerate(node.type.shape):
        source = axis - shift
        if length == 1:
            continue
        if source >= 0 and x.type.shape[source] != 1:
            yield same(Port(node, axis), Port(x, source))
        else:
            yield kept(Port(node, axis), why="expand repeats one value along it")


def _resize(node: Node, x: Node, spatial: int) -> Iterator[Law]:
    rank = node.type.rank
    outer = range(rank - spatial)
    for axis in outer:
        across = [Port(node, i) for i in outer if i != axis]
        yield same(Port(node, axis), Port(x, axis)).only_across(*across)
    for axis in range(rank - spatial, rank):
        yield from (frozen(Port(v, axis), why=f"{node.op} resamples it") for v in (node, x))
