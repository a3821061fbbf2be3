"""Moving values about."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qcompile.frontends.aten_call import (
    Call,
    Family,
    Refusal,
    Translator,
    axes_of,
    axis_of,
    cast,
    cut,
    length,
    permute,
    reshape,
    swap,
)
from qcompile.frontends.looking_up import look_up
from qcompile.ir.dims import Dim, Symbol, size
from qcompile.ir.node import Node
from qcompile.ir.ops.shape import Concat, Expand, Gather, Slice
from qcompile.ir.ops.source import const

_FAR = 1 << 62  # a stop beyond every length


def _view(call: Call, x: Node, *_: object) -> Node:
    """The exporter knows the shape: view, flatten, squeeze and their like are one."""
    return reshape(x, call.shape)


def _expand(call: Call, x: Node, *_: object, **__: object) -> Node:
    return x if x.type.shape == call.shape else Expand(x, call.shape)


def _permute(call: Call, x: Node, dims: Sequence[int]) -> Node:
    return permute(x, [axis_of(x, d) for d in dims])


def _transpose(call: Call, x: Node, a: int = 0, b: int = 1) -> Node:
    return x if x.type.rank < 2 else swap(x, a, b)


def _last_two(call: Call, x: Node) -> Node:
    return swap(x, -2, -1)


def _reversed(call: Call, x: Node) -> Node:
    return permute(x, range(x.type.rank)[::-1])


def _movedim(call: Call, x: Node, source: int | Sequence[int], to: int | Sequence[int]) -> Node:
    sources = [axis_of(x, d) for d in ((source,) if isinstance(source, int) else source)]
    targets = [axis_of(x, d) for d in ((to,) if isinstance(to, int) else to)]
    perm = [axis for axis in range(x.type.rank) if axis not in sources]
    for target, axis in sorted(zip(targets, sources, strict=True)):
        perm.insert(target, axis)
    return permute(x, perm)


def _cat(call: Call, xs: Sequence[Node], dim: int = 0) -> Node:
    full = [cast(x, call.elem) for x in xs if x.type.shape != (0,) or call.type.rank == 1]
    return full[0] if len(full) == 1 else Concat(tuple(full), axis_of(full[0], dim))


def _stack(call: Call, xs: Sequence[Node], dim: int = 0) -> Node:
    axis = dim % call.type.rank
    shape = (*call.shape[:axis], 1, *call.shape[axis + 1 :])
    return _cat(call, [reshape(x, shape) for x in xs], axis)


def _split(call: Call, x: Node, _: object, dim: int = 0) -> tuple[Node, ...]:
    """Pieces as long as the exporter says: split, chunk and tensor_split are one."""
    axis, start = axis_of(x, dim), 0
    pieces: list[Node] = []
    for piece in call.results:
        assert piece is not None
        size = piece.shape[axis]
        if not isinstance(size, int):
            raise Refusal(f"splits the open axis {axis} of {x.type}")
        pieces.append(cut(x, axis, start, start + size))
        start += size
    return tuple(pieces)


def _unbind(call: Call, x: Node, dim: int = 0) -> tuple[Node, ...]:
    axis = axis_of(x, dim)
    return tuple(reshape(cut(x, axis, i, i + 1), call.shape) for i in range(length(x, axis)))


def _slice(
    call: Call, x: Node, dim: int = 0, start: int | None = None, stop: Dim | None = None,
    step: int = 1,
) -> Node:  # fmt: skip
    axis = axis_of(x, dim)
    total = x.type.shape[axis]
    if isinstance(total, int) and not isinstance(stop, Symbol):
        first, last, _ = slice(start, stop, step).indices(total)
        return cut(x, axis, first, max(last, first), step=step)
    first = 0 if start is None else start
    to_end = stop is None or stop == total or (isinstance(stop, int) and stop >= _FAR)
    if first >= 0 and to_end:
        return cut(x, axis, first, total, step=step)
    raise Refusal(f"takes {first}:{stop} of the open axis {axis} of {x.type}")


def _narrow(call: Call, x: Node, dim: int, start: int, count: int) -> Node:
    axis = axis_of(x, dim)
    first = start % length(x, axis) if start < 0 else start
    return cut(x, axis, first, first + count)


def _select(call: Call, x: Node, dim: int, index: int) -> Node:
    axis = axis_of(x, dim)
    total = x.type.shape[axis]
    if index < 0 and not isinstance(total, int):
        return Gather(x, const(np.array(index, np.int64)), axis)
    at = index + total if index < 0 and isinstance(total, int) else index
    return reshape(cut(x, axis, at, at + 1), call.shape)


def _filled(value: float) -> Translator:
    """A tensor of one number, of the shape that the exporter knows."""

    def translate(call: Call, *_: object, **__: object) -> Node:
        return _spread(call, value)

    return translate


def _full(call: Call, _: object, value: float, **__: object) -> Node:
    return _spread(call, value)


def _new_full(call: Call, _: object, shape: object, value: float, **__: object) -> Node:
    return _spread(call, value)


def _spread(call: Call, value: float) -> Node:
    one = reshape(const(value, elem=call.elem), (1,) * call.type.rank)
    return _expand(call, one)


def _index_select(call: Call, x: Node, dim: int, index: Node) -> Node:
    return Gather(x, index, axis_of(x, dim))


def _embedding(call: Call, weight: Node, indices: Node, *_: object) -> Node:
    return Gather(weight, indices, 0)


def _index(call: Call, x: Node, indices: Sequence[Node | None]) -> Node:
    """Several indices are broadcast together; where others lie between, their axes come first."""
    given = {axis: i for axis, i in enumerate(indices) if i is not None}
    if any(not index.type.elem.is_integer for index in given.values()):
        raise Refusal("a mask picks a number of elements that depends on the values")
    axes, first = list(given), min(given)
    if len(given) == 1:
        return Gather(x, given[first], first)
    if axes != list(range(first, first + len(axes))):
        x, first = permute(x, (*axes, *(a for a in range(x.type.rank) if a not in given))), 0
    found = look_up(x, list(given.values()), first)
    if found is None:
        raise Refusal(f"indexes open axes of {x.type} together: bind them with --input-shape")
    return found


def _repeat(call: Call, x: Node, repeats: Sequence[Dim]) -> Node:
    x = reshape(x, (*(1,) * (len(repeats) - x.type.rank), *x.type.shape))
    repeats = (*(1,) * (x.type.rank - len(repeats)), *repeats)
    for axis, times in enumerate(repeats):
        if not isinstance(times, int):
            raise Refusal(f"repeats axis {axis} an open number of times")
        if times != 1:
            x = Concat((x,) * times, axis)
    return x


def _repeat_interleave(
    call: Call, x: Node, repeats: int, dim: int | None = None, **_: object
) -> Node:
    if dim is None:
        x, dim = reshape(x, (size(x.type.shape),)), 0
    axis = axis_of(x, dim)
    before, after = x.type.shape[: axis + 1], x.type.shape[axis + 1 :]
    return reshape(Expand(reshape(x, (*before, 1, *after)), (*before, repeats, *after)), call.shape)


def _flip(call: Call, x: Node, dims: Sequence[int]) -> Node:
    axes = axes_of(x, dims) if dims else ()
    starts = tuple(length(x, a) - 1 for a in axes)
    return Slice(x, axes, starts, (-1,) * len(axes), (-1,) * len(axes)) if axes else x


def _roll(call: Call, x: Node, shifts: int | Sequence[int], dims: int | Sequence[int] = ()) -> Node:
    shifts = (shifts,) if isinstance(shifts, int) else shifts
    dims = (dims,) if isinstance(dims, int) else dims
    if not dims:
        raise Refusal("rolls the flattened tensor")
    for shift, dim in zip(shifts, dims, strict=True):
        axis = axis_of(x, dim)
        total = length(x, axis)
        at = -shift % total
        if at:
            x = Concat((cut(x, axis, at, total), cut(x, axis, 0, at)), axis)
    return x


_VIEWS: Family = dict.fromkeys(
    (
        "view",
        "view_copy",
        "_unsafe_view",
        "reshape",
        "_reshape_alias",
        "view_as",
        "reshape_as",
        "flatten",
        "unflatten",
        "ravel",
        "squeeze",
        "unsqueeze",
        "atleast_1d",
        "atleast_2d",
        "atleast_3d",
    ),
    _view,
)

SHAPE: Family = {
    **_VIEWS,
    "expand": _expand,
    "expand_as": _expand,
    "broadcast_to": _expand,
    "permute": _permute,
    "transpose": _transpose,
    "swapaxes": _transpose,
    "swapdims": _transpose,
    "t": _transpose,
    "mT": _last_two,
    "adjoint": _last_two,
    "numpy_T": _reversed,
    "movedim": _movedim,
    "cat": _cat,
    "concat": _cat,
    "concatenate": _cat,
    "stack": _stack,
    "split": _split,
    "split_with_sizes": _split,
    "chunk": _split,
    "tensor_split": _split,
    "unsafe_split": _split,
    "unsafe_chunk": _split,
    "unbind": _unbind,
    "slice": _slice,
    "narrow": _narrow,
    "select": _select,
    "index_select": _index_select,
    "embedding": _embedding,
    "index": _index,
    "repeat": _repeat,
    "tile": _repeat,
    "repeat_interleave.self_int": _repeat_interleave,
    "flip": _flip,
    "roll": _roll,
    "full": _full,
    "full_like": _full,
    "new_full": _new_full,
    "ones": _filled(1),
    "ones_like": _filled(1),
    "new_ones": _filled(1),
    "zeros": _filled(0),
    "zeros_like": _filled(0),
    "new_zeros": _filled(0),
}
