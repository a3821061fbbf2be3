"""Laws of norms and of softmax."""

from __future__ import annotations

from collections.abc import Iterator

from qcompile.analysis.axes.laws.law import Group, Law, Port, frozen, kept, tied
from qcompile.ir.node import Node
from qcompile.ir.ops.norm import BatchNorm, InstanceNorm, LayerNorm, LocalResponseNorm, RmsNorm
from qcompile.ir.ops.reduce import LogSoftmax, Softmax
from qcompile.ir.ops.source import Const

APART = "the norm treats what lies along it apart"
UNFOLDED = "the norm's scale is not folded into what reads it"
UNSEEN = "the norm behind it has a scale that is not folded"
UNSCALED = "the norm has no scale for each index"
MEAN = "the norm subtracts the mean: centre what writes the stream first"


def norm_laws(node: Node) -> Iterator[Law] | None:
    """The laws of a norm or a softmax; None for any other operation."""
    match node:
        case RmsNorm(x=x, axis=axis):
            return _rms_norm(node, x, axis)
        case LayerNorm(x=x, axis=axis):
            return _layer_norm(node, x, axis)
        case BatchNorm(x=x):
            return _batch_norm(node, x)
        case Softmax(x=x, axis=axis) | LogSoftmax(x=x, axis=axis):
            return _apart(node, x, (axis,))
        case InstanceNorm(x=x):
            return _apart(node, x, tuple(range(2, x.type.rank)))
        case LocalResponseNorm(x=x):
            return _neighbours(node, x)
        case _:
            return None


def _rms_norm(node: RmsNorm, x: Node, axis: int) -> Iterator[Law]:
    """x / |x|: orthogonal maps. The scale, where it is one number for all, commutes with them."""
    free = node.scale is None or uniform(node.scale)
    for i in range(x.type.rank):
        own, source = Port(node, i), Port(x, i)
        if i < axis:
            yield _beside(node, x, i, axis)
            continue
        if free:
            yield tied(Group.ORTHOGONAL, ((0, 1),), own, source, why="rms_norm keeps lengths only")
        else:
            yield kept(source, why=UNSEEN)
        yield tied(None, (), own, source, why="")
        scale = None if node.scale is None else parameter_port(node.scale, x, i)
        group = None if free else Group.NONE
        if scale is None:
            yield tied(group, ((1,),), own, why=UNSCALED)
        else:
            yield tied(group, ((1, -1),), own, scale, why=UNFOLDED)


def _layer_norm(node: LayerNorm, x: Node, axis: int) -> Iterator[Law]:
    """(x − mean) / |x − mean|: its parameters scale the result, no matrix passes the mean."""
    parameters = [p for p in (node.gamma, node.beta) if p is not None]
    for i in range(x.type.rank):
        own, source = Port(node, i), Port(x, i)
        if i < axis:
            yield _beside(node, x, i, axis)
            continue
        yield kept(source, why=MEAN)
        found = [parameter_port(p, x, i) for p in parameters]
        ports = [port for port in found if port is not None]
        spread = node.gamma is None or None in found
        rows = [(1, *(0,) * len(ports))] if spread else []
        rows += [(1, *(-int(j == k) for j in range(len(ports)))) for k in range(len(ports))]
        why = MEAN if node.gamma is None else UNFOLDED
        yield tied(None, (), own, source, why="")
        yield tied(Group.NONE, tuple(rows), own, *ports, why=why)


def _batch_norm(node: BatchNorm, x: Node) -> Iterator[Law]:
    """γ (x − μ) / σ + β along the channels: γ, β and μ take any scale."""
    why = "batch_norm has a scale for each index"
    for i in range(x.type.rank):
        if i != 1:
            yield kept(Port(node, i), Port(x, i), why="batch_norm adds one value along it")
            continue
        ports = [Port(v, 0) for v in (node.gamma, node.beta, node.mean, node.var)]
        rows = ((1, -1, -1, 0, 0, 0), (1, 0, 0, -1, 0, 0), (0, 1, 0, 0, -1, 0), (0, 0, 0, 0, 0, 1))
        yield tied(Group.NONE, rows, Port(node, 1), Port(x, 1), *ports, why=why)


def _beside(node: Node, x: Node, axis: int, end: int) -> Law:
    """The law of an axis before those that the norm runs over."""
    across = (Port(node, i) for i in range(end) if i != axis)
    return kept(Port(node, axis), Port(x, axis), why=APART).only_across(*across)


def _apart(node: Node, x: Node, axes: tuple[int, ...]) -> Iterator[Law]:
    """Orders only, the same all along the axes that are mixed."""
    others = [Port(node, i) for i in range(x.type.rank) if i not in axes]
    why = f"{node.op} is taken of each index apart"
    for i in range(x.type.rank):
        across = [port for port in others if port.axis != i]
        yield kept(Port(node, i), Port(x, i), why=why).only_across(*across)


def _neighbours(node: Node, x: Node) -> Iterator[Law]:
    """A sum over neighbouring channels counts their indices."""
    for value in (node, x):
        yield frozen(Port(value, 1), why=f"{node.op} counts its indices")
    for i in range(x.type.rank):
        if i != 1:
            across = [Port(node, j) for j in range(x.type.rank) if j not in (1, i)]
            yield kept(Port(node, i), Port(x, i), why=APART).only_across(*across)


def parameter_port(parameter: Node, x: Node, axis: int) -> Port | None:
    """The parameter's axis that belongs to the operand's; None when it is spread along it."""
    own = axis - x.type.rank + parameter.type.rank
    return Port(parameter, own) if own >= 0 and parameter.type.shape[own] != 1 else None


def uniform(node: Node) -> bool:
    """True for a constant of one number throughout, which commutes with every matrix."""
    if not isinstance(node, Const):
        return False
    first = node.array.reshape(-1)[:1]
    return bool((node.array == first).all())
