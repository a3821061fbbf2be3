"""A graph → its lowered form: for each group the kernel family, layouts, memory and steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qcompile.errors import NotLegal
from qcompile.ir.dims import is_static, static
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.hadamard import Hadamard
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.pool import AveragePool, MaxPool
from qcompile.ir.ops.quant import Dequantize, Quantize
from qcompile.ir.ops.reduce import ReduceMax, ReduceMean, ReduceMin, ReduceSum
from qcompile.ir.ops.resize import ResizeLinear, ResizeNearest
from qcompile.ir.ops.shape import Concat, Expand, Pad, Slice
from qcompile.ir.ops.source import Const, Input
from qcompile.ir.types import TensorType
from qcompile.targets.loops.draft import External, Step_, Value
from qcompile.targets.loops.fuse import POINTWISE, ROWS, Group, groups
from qcompile.targets.loops.layout import Layout, channels_last, dense, merge_halos, row_major
from qcompile.targets.loops.lower.fold import folded, pool, pool_fill, pool_halo, reduce
from qcompile.targets.loops.lower.hadamard import innermost, turn
from qcompile.targets.loops.lower.movement import move
from qcompile.targets.loops.lower.picture import interleave, is_picture
from qcompile.targets.loops.lower.pointwise import pointwise
from qcompile.targets.loops.lower.rows import rows
from qcompile.targets.loops.lower.sampling import interpolate
from qcompile.targets.loops.lowering import Contract, Lowering
from qcompile.targets.loops.pointwise import stored
from qcompile.targets.loops.weights import halo_of, zero_of

SPATIAL = (Conv, ConvTranspose, MaxPool, AveragePool, ResizeNearest, ResizeLinear)
CARRIES = (*POINTWISE, Concat, Slice, Pad, Expand)
FAMILIES: Mapping[type[Node], Contract] = {
    MaxPool: pool, AveragePool: pool, ReduceSum: reduce, ReduceMean: reduce, ReduceMax: reduce,
    ReduceMin: reduce, ResizeLinear: interpolate, Hadamard: turn,
}  # fmt: skip
KNOWN = ("u8", "i8", "i16", "i32", "i64", "f32", "bool")


@dataclass(frozen=True)
class Port:
    """An input or output of the library: as the model has it, and as raw integers behind it."""

    name: str
    real: TensorType
    raw: TensorType


@dataclass(frozen=True)
class Lowered:
    """Steps by phase: inputs come as reals or raw, the body, outputs leave as reals or raw."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    enter_real: tuple[Step_, ...]
    enter_raw: tuple[Step_, ...]
    body: tuple[Step_, ...]
    leave_real: tuple[Step_, ...]
    leave_raw: tuple[Step_, ...]
    weights: tuple[bytes, ...]

    @property
    def steps(self) -> tuple[Step_, ...]:
        """All steps, in the order of their phases."""
        return (*self.enter_real, *self.enter_raw, *self.body, *self.leave_raw, *self.leave_real)


def lower(ctx: Lowering) -> Lowered:
    """The whole graph; `NotLegal` names what has no kernel."""
    graph = ctx.graph
    every = groups(graph)
    _want_halos(ctx)
    hints = _hints(graph)
    ctx.beside.update(ctx.companions(every))
    along = {id(group) for group in ctx.beside.values()}
    entering = {id(g): g for g in every if _enters(g, graph)}
    leaving = {id(g): g for g in every if _leaves(g, graph)}
    _bind_inputs(ctx, real=True)
    for group in entering.values():
        _group(ctx, group, hints)
    enter_real = _take(ctx)
    enter_raw = _enter_raw(ctx, list(entering.values()))
    for group in every:
        if id(group) not in entering and id(group) not in leaving and id(group) not in along:
            _group(ctx, group, hints)
    body = _take(ctx)
    leave_raw, leave_real = _outputs(ctx, leaving)
    return Lowered(
        tuple(_input_port(node, graph) for node in graph.inputs),
        tuple(_output_port(name, node) for name, node in graph.outputs),
        enter_real, enter_raw, body, leave_real, leave_raw, tuple(ctx.weights.parts),
    )  # fmt: skip


def refused(ctx: Lowering) -> tuple[str, ...]:
    """One sentence for each group that has no kernel."""
    graph = ctx.graph
    _bind_inputs(ctx, real=True)
    hints, found = _hints(graph), list[str]()
    for group in groups(graph):
        try:
            _group(ctx, group, hints)
        except NotLegal as error:
            found.append(str(error))
            _stand_in(ctx, group.head)
    return tuple(found)


def _stand_in(ctx: Lowering, node: Node) -> None:
    """Some memory for a value that cannot be computed, so that what reads it is looked at, too."""
    layout = row_major(tuple(d if isinstance(d, int) else 1 for d in node.type.shape))
    elem = stored(node.type.elem)
    known = elem if elem in KNOWN else "f32"
    ctx.values[node] = Value(ctx.buffer(node, layout, known), layout, known)


def _take(ctx: Lowering) -> tuple[Step_, ...]:
    steps = tuple(ctx.steps)
    ctx.steps.clear()
    return steps


def _group(ctx: Lowering, group: Group, hints: set[Node]) -> None:
    _check(group)
    ctx.formats[group.head] = ctx.format_of(group)
    ctx.wanted[group.head] = _layout(ctx, group, hints)
    if group.head in ctx.beside:
        _lie_alike(ctx, ctx.beside[group.head], ctx.wanted[group.head])
    match group.root:
        case None:
            pointwise(ctx, group, ctx.allocate(group.head))
        case Conv() | ConvTranspose() | MatMul() as node:
            ctx.contraction(node)(ctx, group)
        case node if type(node) in FAMILIES:
            FAMILIES[type(node)](ctx, group)
        case node if isinstance(node, ROWS):
            rows(ctx, group)
        case _:
            move(ctx, group)


def _lie_alike(ctx: Lowering, group: Group, layout: Layout) -> None:
    """The result of a group that is written along with another, in the same order."""
    elem = ctx.format_of(group)
    ctx.formats[group.head] = elem
    ctx.wanted[group.head] = ctx.packed(layout.shape, layout.order, elem)


def _check(group: Group) -> None:
    for node in (group.head, *group.reads):
        kind = node.type
        if not is_static(kind.shape):
            raise NotLegal(f"{node}: its shape {kind} is open; bind it with --input-shape")
        if stored(kind.elem) not in KNOWN:
            raise NotLegal(f"{node}: no kernel works on {kind.elem}")


# layouts


def _hints(graph: Graph) -> set[Node]:
    """Values that had better lie channels-last, for the sake of who reads them."""
    found: set[Node] = set()
    for node in reversed(graph.nodes):
        for user in graph.users[node]:
            spatial = isinstance(user, SPATIAL) and user.operands[0] is node
            carried = isinstance(user, CARRIES) and user in found
            if (spatial or carried) and node.type.rank >= 3:
                found.add(node)
    return found


def _layout(ctx: Lowering, group: Group, hints: set[Node]) -> Layout:
    head, elem = group.head, ctx.formats[group.head]
    shape = static(head.type.shape)
    last = channels_last(len(shape))
    if isinstance(group.root, SPATIAL):
        return ctx.packed(shape, last, elem)
    if isinstance(group.root, MatMul):
        return ctx.row_major(shape, elem)
    if isinstance(group.root, Hadamard):
        return ctx.packed(shape, innermost(group.root), elem)
    if isinstance(group.root, ReduceSum | ReduceMean | ReduceMax | ReduceMin):
        return _reduced_layout(ctx, group, group.root, shape, elem)
    for node in group.reads:
        value = ctx.value(node)
        mine = not isinstance(value.where, External) and not isinstance(node, Const)
        alike = value.layout.shape == shape or group.root is not None
        if mine and alike and len(value.layout.shape) == len(shape):
            return ctx.packed(shape, value.layout.order, elem)
    return ctx.packed(shape, last, elem) if head in hints else ctx.row_major(shape, elem)


def _reduced_layout(
    ctx: Lowering,
    group: Group,
    root: ReduceSum | ReduceMean | ReduceMax | ReduceMin,
    shape: tuple[int, ...],
    elem: str,
) -> Layout:
    order = ctx.value(folded(group)).layout.order
    if root.keepdims:
        return ctx.packed(shape, order, elem)
    kept = [a for a in range(len(order)) if a not in root.axes]
    place = {axis: i for i, axis in enumerate(kept)}
    return ctx.packed(shape, tuple(place[a] for a in order if a in place), elem)


def _want_halos(ctx: Lowering) -> None:
    """Each value gets the halo that its readers need, all with one content."""
    for node in ctx.graph.nodes:
        match node:
            case Conv(x=x) | ConvTranspose(x=x) if is_static(node.type.shape):
                halo, fill = halo_of(node), float(zero_of(x))
            case MaxPool(x=x) | AveragePool(x=x) if is_static(node.type.shape):
                halo, fill = pool_halo(node), float(pool_fill(node))
            case _:
                continue
        if not any(before or after for before, after in halo):
            continue
        if x not in ctx.halos:
            ctx.halos[x] = (halo, fill)
        elif ctx.halos[x][1] == fill:
            ctx.halos[x] = (merge_halos(ctx.halos[x][0], halo), fill)


# inputs and outputs


def _enters(group: Group, graph: Graph) -> bool:
    """A quantize of an input that is read in this form only."""
    head = group.head
    return (
        isinstance(head, Quantize)
        and group.members == {head}
        and isinstance(head.x, Input)
        and graph.users[head.x] == (head,)
    )


def _leaves(group: Group, graph: Graph) -> bool:
    head = group.head
    return isinstance(head, Dequantize) and group.members == {head} and head in graph.results


def _bind_inputs(ctx: Lowering, *, real: bool) -> None:
    for i, node in enumerate(ctx.graph.inputs):
        kind = node.type if real else _input_port(node, ctx.graph).raw
        layout = dense(static(kind.shape))
        ctx.values[node] = Value(External(i, output=False), layout, stored(kind.elem))


def _enter_raw(ctx: Lowering, entering: list[Group]) -> tuple[Step_, ...]:
    """The same buffers, filled with integers that the caller gives."""
    _bind_inputs(ctx, real=False)
    for group in entering:
        (node,) = group.reads
        source, target = ctx.values[node], ctx.values[group.head]
        if is_picture(ctx, source, target):
            interleave(ctx, node, source, target, lambda _, loaded: loaded)
        else:
            ctx.copy(node, source, target)
    steps = _take(ctx)
    _bind_inputs(ctx, real=True)
    return steps


def _outputs(
    ctx: Lowering, leaving: dict[int, Group]
) -> tuple[tuple[Step_, ...], tuple[Step_, ...]]:
    heads = {group.head: group for group in leaving.values()}
    raw: list[Step_] = []
    real: list[Step_] = []
    for i, (_, node) in enumerate(ctx.graph.outputs):
        place = External(i, output=True)
        layout = dense(static(node.type.shape))
        inner = node.x if isinstance(node, Dequantize) and node in heads else node
        ctx.copy(inner, ctx.value(inner), Value(place, layout, stored(inner.type.elem)))
        raw += _take(ctx)
        if inner is node:
            real += raw[-1:]
            continue
        pointwise(ctx, heads[node], Value(place, layout, stored(node.type.elem)))
        real += _take(ctx)
    return tuple(raw), tuple(real)


def _input_port(node: Input, graph: Graph) -> Port:
    users = graph.users[node]
    entered = len(users) == 1 and isinstance(users[0], Quantize)
    return Port(node.name, node.type, users[0].type if entered else node.type)


def _output_port(name: str, node: Node) -> Port:
    inner = node.x.type if isinstance(node, Dequantize) else node.type
    return Port(name, node.type, inner)
