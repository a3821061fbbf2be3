"""What moves elements about: reshape, transpose, concat, slice, gather, pad."""

from __future__ import annotations

from math import prod
from typing import Any

from qcompile.errors import BadModel
from qcompile.frontends.onnx_call import Call, Opaque, Translator, axis_of
from qcompile.ir.dims import Dim, Symbol, broadcast, is_static, size
from qcompile.ir.node import Node
from qcompile.ir.ops import shape as s
from qcompile.ir.types import TensorType


def _reshape(call: Call) -> Node:
    x = call.x()
    asked = call.dims(1) if call.opset >= 5 else call.integers("shape")
    keep_zeros = call.flag("allowzero")
    shape: list[Dim] = []
    for i, length in enumerate(asked):
        if length == 0 and not keep_zeros:
            if i >= x.type.rank:
                raise BadModel(f"{call}: copies length {i} of {x.type}, which has none")
            shape.append(x.type.shape[i])
        else:
            shape.append(length)
    return reshaped(call, x, tuple(shape))


def reshaped(call: Call, x: Node, shape: tuple[Dim, ...]) -> Node:
    """x under another shape, in which one length may be −1."""
    if shape.count(-1) > 1:
        raise BadModel(f"{call}: more than one −1 in {list(shape)}")
    if -1 in shape:
        place = shape.index(-1)
        others = shape[:place] + shape[place + 1 :]
        shape = (*shape[:place], _quotient(call, x.type.shape, others), *shape[place + 1 :])
    if any(isinstance(d, int) and d < 0 for d in shape):
        raise BadModel(f"{call}: negative length in {list(shape)}")
    known = set(x.type.shape)
    if sum(isinstance(d, Symbol) and d not in known for d in shape) > 1:
        kind = TensorType(shape, x.type.elem)
        raise Opaque("several lengths are known only at run time", kind)
    return s.Reshape(x, shape)


def _quotient(call: Call, whole: tuple[Dim, ...], parts: tuple[Dim, ...]) -> Dim:
    """Π whole / Π parts, after equal open lengths cancel."""
    left: list[Dim] = list(whole)
    right: list[Dim] = []
    for d in parts:
        if isinstance(d, Symbol) and d in left:
            left.remove(d)
        else:
            right.append(d)
    above, below = (prod(d for d in side if isinstance(d, int)) for side in (left, right))
    if is_static(tuple(left)) and is_static(tuple(right)):
        if below == 0 or above % below:
            raise BadModel(f"{call}: {above} elements do not divide by {below}")
        return above // below
    numbers_cancel = below != 0 and above % below == 0
    opens = tuple(d for d in left if isinstance(d, Symbol))
    if numbers_cancel and is_static(tuple(right)):
        return size((above // below, *opens))
    total: Any = size(tuple(left))
    return total // size(tuple(right))


def _flatten(call: Call) -> Node:
    x = call.x()
    axis = call.integer("axis", 1)
    if not -x.type.rank <= axis <= x.type.rank:
        raise BadModel(f"{call}: axis {axis} of a tensor of rank {x.type.rank}")
    axis = axis + x.type.rank if axis < 0 else axis
    return s.Reshape(x, (size(x.type.shape[:axis]), size(x.type.shape[axis:])))


def _listed(call: Call) -> tuple[int, ...]:
    """Axes: an attribute before opset 13, an input since."""
    return call.integers("axes", ()) if call.maybe(1) is None else call.numbers(1)


def _squeeze(call: Call) -> Node:
    x = call.x()
    axes = {axis_of(call, a, x.type.rank) for a in _listed(call)}
    if not axes:
        axes = {i for i, d in enumerate(x.type.shape) if d == 1}
    bad = [x.type.shape[a] for a in sorted(axes) if x.type.shape[a] != 1]
    if any(isinstance(d, int) for d in bad):
        raise BadModel(f"{call}: squeezes lengths {bad} of {x.type}")
    return s.Reshape(x, tuple(d for i, d in enumerate(x.type.shape) if i not in axes))


def _unsqueeze(call: Call) -> Node:
    x, listed = call.x(), _listed(call)
    rank = x.type.rank + len(listed)
    axes = {axis_of(call, a, rank) for a in listed}
    if len(axes) != len(listed):
        raise BadModel(f"{call}: axes {list(listed)} repeat")
    lengths = iter(x.type.shape)
    return s.Reshape(x, tuple(1 if i in axes else next(lengths) for i in range(rank)))


def _transpose(call: Call) -> Node:
    x = call.x()
    return s.Transpose(x, call.integers("perm", tuple(reversed(range(x.type.rank)))))


def _concat(call: Call) -> Node:
    xs = call.every()
    axis = axis_of(call, call.integer("axis", 1 if call.opset < 4 else None), xs[0].type.rank)
    if any(x.type.rank != xs[0].type.rank for x in xs):
        raise BadModel(f"{call}: joins ranks {[x.type.rank for x in xs]}")
    return xs[0] if len(xs) == 1 else s.Concat(xs, axis)


def _gather(call: Call) -> Node:
    x, indices = call.x(0), call.x(1)
    axis = axis_of(call, call.integer("axis", 0), x.type.rank)
    length, known = x.type.shape[axis], call.known.of(indices)
    if known is not None and isinstance(length, int):
        far = [i for i in known.reshape(-1) if isinstance(i, int) and not -length <= i < length]
        if far:
            raise BadModel(f"{call}: index {far[0]} of length {length}")
    return s.Gather(x, indices, axis)


def _expand(call: Call) -> Node:
    x = call.x()
    try:
        shape = broadcast(x.type.shape, call.dims(1))
    except ValueError as error:
        if is_static(x.type.shape) and is_static(call.dims(1)):
            raise
        raise Opaque("which lengths are equal is known only at run time") from error
    if not is_static(shape) and shape != x.type.shape:
        kind = TensorType(shape, x.type.elem)
        raise Opaque("expands to a length known only at run time", kind)
    return x if shape == x.type.shape else s.Expand(x, shape)


def _tile(call: Call) -> Node:
    """Each repeated axis becomes [repeats, length] by broadcasting, then one axis."""
    x, repeats = call.x(), call.numbers(1)
    if len(repeats) != x.type.rank or any(r < 0 for r in repeats):
        raise BadModel(f"{call}: repeats {list(repeats)} for {x.type}")
    if not is_static(x.type.shape) or 0 in repeats:
        raise Opaque("tiles open or vanishing lengths")
    split: tuple[Dim, ...] = ()
    wide: tuple[Dim, ...] = ()
    for length, times in zip(x.type.shape, repeats, strict=True):
        split += (1, length) if times > 1 else (length,)
        wide += (times, length) if times > 1 else (length,)
    shape = tuple(d * t for d, t in zip(x.type.shape, repeats, strict=True))
    return s.Reshape(s.Expand(s.Reshape(x, split), wide), shape)


def _depth_to_space(call: Call) -> Node:
    x, b = call.x(), call.integer("blocksize")
    n, c, h, w = x.type.shape
    parts = _divided(call, c, b * b)
    if call.text("mode", "DCR") == "DCR":
        split, perm = s.Reshape(x, (n, b, b, parts, h, w)), (0, 3, 4, 1, 5, 2)
    else:
        split, perm = s.Reshape(x, (n, parts, b, b, h, w)), (0, 1, 4, 2, 5, 3)
    return s.Reshape(s.Transpose(split, perm), (n, parts, h * b, w * b))


def _space_to_depth(call: Call) -> Node:
    x, b = call.x(), call.integer("blocksize")
    n, c, h, w = x.type.shape
    high, wide = _divided(call, h, b), _divided(call, w, b)
    split = s.Reshape(x, (n, c, high, b, wide, b))
    if call.text("mode", "DCR") == "CRD":
        return s.Reshape(s.Transpose(split, (0, 1, 3, 5, 2, 4)), (n, c * b * b, high, wide))
    return s.Reshape(s.Transpose(split, (0, 3, 5, 1, 2, 4)), (n, c * b * b, high, wide))


def _divided(call: Call, length: Dim, by: int) -> Dim:
    if by < 1 or (isinstance(length, int) and length % by):
        raise BadModel(f"{call}: length {length} does not divide by {by}")
    return length // by


SHAPE: dict[str, Translator] = {
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "Concat": _concat,
    "Gather": _gather,
    "Expand": _expand,
    "Tile": _tile,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
}
