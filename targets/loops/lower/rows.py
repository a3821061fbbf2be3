"""Operations of several passes over rows: softmax, norms, arg, and reductions that need a root."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from qcompile.ir.dims import static
from qcompile.ir.node import Node
from qcompile.ir.ops.integer import PROBABILITY_BITS, SoftmaxInteger
from qcompile.ir.ops.norm import InstanceNorm, LayerNorm, LocalResponseNorm, RmsNorm
from qcompile.ir.ops.reduce import (
    Arg,
    ArgMax,
    LogSoftmax,
    ReduceL2,
    ReduceLogSumExp,
    ReduceProd,
    Softmax,
)  # fmt: skip
from qcompile.targets.loops import expr as e
from qcompile.targets.loops.draft import Draft, Value, load_of
from qcompile.targets.loops.fuse import Group
from qcompile.targets.loops.lower.fold import FLOAT_LEAST, GREATEST, LEAST
from qcompile.targets.loops.lowering import Lowering
from qcompile.targets.loops.real import call, number, pair

Given = Sequence[e.Expr]
Make = Callable[[Given], e.Expr]
MakeAt = Callable[[Draft, Given], e.Expr]


@dataclass(frozen=True)
class Rows:
    """One value seen as rows along `axes`, and what is written on the way."""

    ctx: Lowering
    group: Group
    node: Node
    x: Value
    shape: tuple[int, ...]
    axes: tuple[int, ...]

    @property
    def short(self) -> tuple[int, ...]:
        """The shape with the rows' axes as 1."""
        return tuple(1 if a in self.axes else d for a, d in enumerate(self.shape))

    @property
    def count(self) -> int:
        """Elements of a row."""
        return prod(self.shape[a] for a in self.axes)

    def fold(
        self, elem: str, combine: str, init: e.Expr, body: Make, *others: Value,
        finish: Callable[[e.Expr], e.Expr] | None = None, places: bool = False,
    ) -> Value:  # fmt: skip
        """One number per row: `body` of x's element and the others', combined.

        With `places` the body is also given the element's index along the (one) axis.
        """
        target = self.ctx.scratch(self.node, self.short, elem)
        lanes = 1 if self.x.layout.inner in self.axes or self.x.layout.inner < 0 else None
        order = [a for a in self.x.layout.order if a not in self.axes]
        draft = self.ctx.draft(self.short, (*self.axes, *order), lanes=lanes, exact=True)
        draft.inner = tuple(self.shape[a] for a in self.axes)
        read = self._reduced(draft, self.x)
        given: list[e.Expr] = [read, *(draft.read(o, self.short) for o in others)]
        if places:
            (length,) = draft.inner
            stored = self.ctx.weights.put(np.arange(length, dtype=np.int32))
            index = draft.view(stored, "i32", (0,) * len(self.short), inner=(1,))
            given.append(load_of(index, "i32"))
        inside = body(given)
        acc = e.Acc(0, 0, elem) if elem == "f32" else e.Acc(*e.INT32, inside.elem)
        result = acc if finish is None else finish(acc)
        self.ctx.finish(
            self.node, draft, target, result, inner=draft.inner, body=inside, combine=combine,
            init=init,
        )  # fmt: skip
        return target

    def _reduced(self, draft: Draft, value: Value) -> e.Load:
        strides = value.layout.strides
        outer = [0 if a in self.axes else s for a, s in enumerate(strides)]
        number_of = draft.view(
            value.where, value.elem, outer, offset=value.layout.offset,
            inner=tuple(strides[a] for a in self.axes),
        )  # fmt: skip
        return load_of(number_of, value.elem)

    def map(self, elem: str, body: Make, *others: Value) -> Value:
        """A value of the full shape, in scratch memory."""
        target = self.ctx.scratch(self.node, self.shape, elem)
        draft = self.ctx.draft(self.shape, target.layout.order)
        given: list[e.Expr] = [draft.read(self.x, self.shape)]
        given += [draft.read(o, _shape_of(o)) for o in others]
        self.ctx.finish(self.node, draft, target, body(given))
        return target

    def end(self, body: MakeAt, *others: Value, bounds: tuple[int, int] = (0, 0)) -> None:
        """The node's result, and what is fused behind it."""
        target = self.ctx.allocate(self.group.head)
        draft = self.ctx.draft(self.shape, target.layout.order)
        given: list[e.Expr] = [draft.read(self.x, self.shape)]
        given += [draft.read(o, _shape_of(o)) for o in others]
        self._end(draft, target, body(draft, given), bounds)

    def short_end(self, body: MakeAt, *others: Value, keepdims: bool) -> None:
        """As `end`, for a result of one number per row."""
        ctx, shape = self.ctx, static(self.node.type.shape)
        target = ctx.allocate(
            self.group.head, self.ctx.row_major(shape, self.ctx.formats[self.group.head])
        )
        draft = ctx.draft(shape, target.layout.order, lanes=1)
        given = [self._squeezed(draft, o, keepdims) for o in others]
        self._end(draft, target, body(draft, given), e.INT32)

    def _squeezed(self, draft: Draft, value: Value, keepdims: bool) -> e.Load:
        strides = [s for a, s in enumerate(value.layout.strides) if keepdims or a not in self.axes]
        return load_of(draft.view(value.where, value.elem, strides or [0]), value.elem)

    def _end(self, draft: Draft, target: Value, result: e.Expr, bounds: tuple[int, int]) -> None:
        chain = self.ctx.chain(self.group, draft)
        if not result.is_float and bounds != (0, 0):
            result = e.Convert(*bounds, "i32", result)
        chain.done[self.node] = result
        self.ctx.finish(self.group.head, draft, target, chain.expr(self.group.head))


def _itself(v: Given) -> e.Expr:
    return v[0]


def _first(_: Draft, v: Given) -> e.Expr:
    return v[0]


def _shape_of(value: Value) -> tuple[int, ...]:
    return value.layout.shape


def rows(ctx: Lowering, group: Group) -> None:
    """Any of these operations and what is fused behind it."""
    node = group.root
    assert node is not None
    over = _axes(node)
    source = node.operands[0]
    shape = static(source.type.shape)
    view = Rows(ctx, group, node, ctx.value(source), shape, over)
    match node:
        case SoftmaxInteger():
            _softmax_integer(view, node)
        case Softmax() | LogSoftmax():
            _softmax(view, log=isinstance(node, LogSoftmax))
        case LayerNorm() | RmsNorm() | InstanceNorm():
            _norm(view, node)
        case ReduceProd() | ReduceL2() | ReduceLogSumExp():
            _reduction(view, node)
        case Arg():
            _arg(view, node)
        case LocalResponseNorm():
            _local(ctx, group, node)
        case _:
            raise AssertionError(node)


def _axes(node: Node) -> tuple[int, ...]:
    rank = node.operands[0].type.rank
    match node:
        case (
            Softmax(axis=axis) | LogSoftmax(axis=axis) | SoftmaxInteger(axis=axis) | Arg(axis=axis)
        ):
            return (axis,)
        case LayerNorm(axis=axis) | RmsNorm(axis=axis):
            return tuple(range(axis, rank))
        case InstanceNorm():
            return tuple(range(2, rank))
        case ReduceProd(axes=axes) | ReduceL2(axes=axes) | ReduceLogSumExp(axes=axes):
            return axes
        case _:
            return (1,)


def _greatest(view: Rows) -> Value:
    elem = view.x.elem
    init = number(FLOAT_LEAST) if elem == "f32" else e.imm(LEAST[elem])
    return view.fold("f32" if elem == "f32" else "i32", "max", init, _itself)


def _softmax(view: Rows, *, log: bool) -> None:
    top = _greatest(view)
    powers = view.map("f32", lambda v: call("exp", pair("sub", v[0], v[1])), top)
    rest = Rows(view.ctx, view.group, view.node, powers, view.shape, view.axes)
    total = rest.fold("f32", "add", number(0), _itself)
    if log:
        view.end(lambda _, v: pair("sub", pair("sub", v[0], v[1]), call("log", v[2])), top, total)
    else:
        rest.end(lambda _, v: pair("div", v[0], v[1]), total)


def _norm(view: Rows, node: LayerNorm | RmsNorm | InstanceNorm) -> None:
    """Parameters lie along the axes from the norm's axis on, or along the channels."""
    match node:
        case RmsNorm(eps=eps, scale=scale, axis=axis):
            _root_mean_square(view, eps, scale, first=axis)
        case LayerNorm(eps=eps, gamma=gamma, beta=beta, axis=axis):
            _centred(view, eps, gamma, beta, first=axis)
        case InstanceNorm(eps=eps, gamma=gamma, beta=beta):
            _centred(view, eps, gamma, beta, first=1)


def _centred(view: Rows, eps: float, gamma: Node | None, beta: Node | None, *, first: int) -> None:
    """gamma · (x − mean) / √(var + eps) + beta."""
    share = number(float(np.float32(1.0 / view.count)))
    mean = view.fold("f32", "add", number(0), _itself, finish=lambda a: pair("mul", a, share))

    def square(v: Given) -> e.Expr:
        return pair("mul", pair("sub", v[0], v[1]), pair("sub", v[0], v[1]))

    deviation = view.fold("f32", "add", number(0), square, mean, finish=_root(share, eps))

    def result(draft: Draft, v: Given) -> e.Expr:
        value = pair("div", pair("sub", v[0], v[1]), v[2])
        for op, parameter in (("mul", gamma), ("add", beta)):
            if parameter is not None:
                value = pair(op, value, _parameter(view, draft, parameter, first))
        return value

    view.end(result, mean, deviation)


def _root_mean_square(view: Rows, eps: float, scale: Node | None, *, first: int) -> None:
    """scale · x / √(mean(x²) + eps)."""
    share = number(float(np.float32(1.0 / view.count)))
    root = view.fold(
        "f32", "add", number(0), lambda v: pair("mul", v[0], v[0]), finish=_root(share, eps)
    )

    def result(draft: Draft, v: Given) -> e.Expr:
        value = pair("div", v[0], v[1])
        if scale is None:
            return value
        return pair("mul", value, _parameter(view, draft, scale, first))

    view.end(result, root)


def _root(share: e.Expr, eps: float) -> Callable[[e.Expr], e.Expr]:
    """√(a · share + eps) of a sum a."""
    guard = number(float(np.float32(eps)))
    return lambda a: call("sqrt", pair("add", pair("mul", a, share), guard))


def _parameter(view: Rows, draft: Draft, node: Node, first: int) -> e.Expr:
    value = view.ctx.value(node)
    shape = static(node.type.shape)
    target = len(draft.shape)
    lead = first if isinstance(view.node, InstanceNorm) else target - len(shape)
    padded = (0,) * lead + value.layout.strides
    strides = [s if d > 1 else 0 for s, d in zip(value.layout.strides, shape, strict=True)]
    padded = (*(0,) * lead, *strides, *(0,) * (target - lead - len(strides)))
    return load_of(draft.view(value.where, value.elem, padded), value.elem)


def _reduction(view: Rows, node: ReduceProd | ReduceL2 | ReduceLogSumExp) -> None:
    keep = node.keepdims
    match node:
        case ReduceProd():
            one = number(1) if view.x.elem == "f32" else e.imm(1)
            elem = "f32" if view.x.elem == "f32" else "i32"
            total = view.fold(elem, "mul", one, _itself)
            view.short_end(_first, total, keepdims=keep)
        case ReduceL2():
            total = view.fold("f32", "add", number(0), lambda v: pair("mul", v[0], v[0]))
            view.short_end(lambda _, v: call("sqrt", v[0]), total, keepdims=keep)
        case ReduceLogSumExp():
            top = _greatest(view)
            total = view.fold(
                "f32", "add", number(0), lambda v: call("exp", pair("sub", v[0], v[1])), top
            )
            view.short_end(
                lambda _, v: pair("add", call("log", v[0]), v[1]), total, top, keepdims=keep
            )


def _arg(view: Rows, node: Arg) -> None:
    """The extreme value first, then the first (or last) place that holds it."""
    elem = "f32" if view.x.elem == "f32" else "i32"
    greatest = isinstance(node, ArgMax)
    sign = 1 if greatest else -1
    bound = LEAST if greatest else GREATEST
    init = number(sign * FLOAT_LEAST) if elem == "f32" else e.imm(bound[view.x.elem])
    top = view.fold(elem, "max" if greatest else "min", init, _itself)
    length = view.shape[node.axis]
    other = e.imm(-1 if node.last else length)

    def place(v: Given) -> e.Expr:
        equal = e.Binary(0, 1, "i32", "eq", v[0], v[1])
        return e.Select(-1, length, "i32", equal, v[2], other)

    combine = "max" if node.last else "min"
    found = view.fold("i32", combine, other, place, top, places=True)
    view.short_end(_first, found, keepdims=node.keepdims)


def _softmax_integer(view: Rows, node: SoftmaxInteger) -> None:
    """The node's own formulas, in 64 bits; e and its quotient fit 32."""
    top = _greatest(view)
    powers = view.map("i32", lambda v: _power(v[0], v[1], node), top)
    rest = Rows(view.ctx, view.group, view.node, powers, view.shape, view.axes)
    total = rest.fold("i64", "add", _big(0), lambda v: _widen(v[0]))

    def share(_: Draft, v: Given) -> e.Expr:
        scaled = _wide("shl", _widen(v[0]), _big(PROBABILITY_BITS))
        rounded = _wide("add", scaled, _wide("shr", v[1], _big(1)))
        return e.Binary(0, 1 << PROBABILITY_BITS, "i64", "div", rounded, v[1])

    rest.end(share, total, bounds=(0, 1 << PROBABILITY_BITS))


def _power(x: e.Expr, top: e.Expr, node: SoftmaxInteger) -> e.Expr:
    distance = _wide("sub", _widen(top), _widen(x))
    scaled = _wide("mul", distance, _big(node.numbers.value[0]))
    y = _wide("shr", scaled, _big(node.numbers.shift))
    octave = _wide("shr", y, _big(15))
    g = _wide("sub", _big(32768), _wide("and", y, _big(32767)))
    inner = _wide("add", _big(7368), _quarter(g, _big(2597)))
    middle = _wide("add", _big(22803), _quarter(g, inner))
    p = _wide("add", _big(32768), _quarter(g, middle))
    held = _wide("min", _wide("add", octave, _big(1)), _big(62))
    return e.Convert(0, 1 << 30, "i32", _wide("shr", _wide("shl", p, _big(15)), held))


def _quarter(a: e.Expr, b: e.Expr) -> e.Expr:
    """a · b >> 15."""
    return _wide("shr", _wide("mul", a, b), _big(15))


def _wide(op: str, a: e.Expr, b: e.Expr) -> e.Expr:
    return e.Binary(0, 0, "i64", op, a, b)


def _big(value: int) -> e.Expr:
    return e.imm(value, "i64")


def _widen(x: e.Expr) -> e.Expr:
    return x if x.elem == "i64" else e.Convert(0, 0, "i64", x)


def _local(ctx: Lowering, group: Group, node: LocalResponseNorm) -> None:
    """The sum of squares over neighbouring channels: planes with a halo of channels."""
    shape = static(node.type.shape)
    rank = len(shape)
    before = (node.size - 1) // 2
    none: Sequence[tuple[int, int]] = [(0, 0)] * (rank - 2)
    halo = ((0, 0), (before, node.size - 1 - before), *none)
    x = ctx.read(node.x, range(rank), halo)
    target = ctx.allocate(group.head)
    draft = ctx.draft(shape, range(rank), exact=True)
    draft.inner = (node.size,)
    step = x.layout.strides[1]
    near = draft.view(
        x.where, x.elem, x.layout.strides, offset=x.layout.offset - before * step, inner=(step,)
    )
    value = load_of(near, x.elem)
    centre = draft.read(x, shape)
    scaled = pair("mul", e.Acc(0, 0, "f32"), number(node.alpha / node.size))
    power = pair("pow", pair("add", number(node.bias), scaled), number(node.beta))
    chain = ctx.chain(group, draft)
    chain.done[node] = pair("div", centre, power)
    ctx.finish(
        group.head, draft, target, chain.expr(group.head), inner=draft.inner,
        body=pair("mul", value, value), combine="add", init=number(0),
    )  # fmt: skip
