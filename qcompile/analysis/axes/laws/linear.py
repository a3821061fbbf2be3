"""Laws of contractions: matrix products and convolutions, of constants or of values."""

from __future__ import annotations

from collections.abc import Iterator

from qcompile.analysis.axes.laws.law import (
    Factor,
    Law,
    Port,
    dual,
    frozen,
    kept,
    product,
    same,
)
from qcompile.ir.node import Node
from qcompile.ir.ops.hadamard import Hadamard
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul


def linear_laws(node: Node) -> Iterator[Law] | None:
    """The laws of a contraction; None for any other operation."""
    match node:
        case MatMul():
            return _matmul(node)
        case Conv() | ConvTranspose():
            return _conv(node)
        case Hadamard(x=x, axis=axis):
            return _hadamard(node, x, axis)
        case _:
            return None


def _hadamard(node: Node, x: Node, axis: int) -> Iterator[Law]:
    """A matrix of its own along one axis, which hardly anything commutes with."""
    others = [Port(node, i) for i in range(node.type.rank) if i != axis]
    for own in others:
        across = [other for other in others if other is not own]
        yield same(own, Port(x, own.axis)).only_across(*across)
    for value in (node, x):
        yield frozen(Port(value, axis), why="hadamard mixes along it")


def _matmul(node: MatMul) -> Iterator[Law]:
    a, b, bias, rank = node.a, node.b, node.bias, node.type.rank
    batch = tuple(Port(node, i) for i in range(rank - 2))
    for port in batch:
        others = [other for other in batch if other is not port]
        for law in _batch(port, a, b, spread=bias is not None):
            yield law.only_across(*others)
    inside = Port(a, a.type.rank - 1), Port(b, b.type.rank - 2)
    yield dual(*inside).only_across(*batch)
    rows = Port(node, rank - 2), Port(a, a.type.rank - 2)
    if bias is None:
        yield same(*rows).only_across(*batch)
    else:
        yield kept(*rows, why="mat_mul adds one bias to all rows")
    columns = Port(node, rank - 1), Port(b, b.type.rank - 1)
    own = () if bias is None else (Port(bias, 0),)
    yield same(*columns, *own).only_across(*batch)


def _batch(z: Port, a: Node, b: Node, *, spread: bool) -> Iterator[Law]:
    """Along a batch axis a product of matrices is a product, index by index."""
    if z.size == 1:
        return
    behind = z.value.type.rank - z.axis
    sides = [Port(o, o.type.rank - behind) for o in (a, b) if o.type.rank >= behind]
    sides = [port for port in sides if port.size != 1]
    if spread:
        yield kept(z, *sides, why="mat_mul adds one bias to the whole batch")
    elif len(sides) == 2:
        yield product(z, *sides, why="mat_mul pairs each index of a batch with its own")
    else:
        yield same(z, *sides)


def _conv(node: Conv | ConvTranspose) -> Iterator[Law]:
    x, w, bias, groups = node.x, node.w, node.bias, node.groups
    channels, features = x.type.shape[1], node.type.shape[1]
    for axis in range(2, x.type.rank):
        for value in (node, x, w):
            yield frozen(Port(value, axis), why=f"{node.op} mixes along it")
    batch = Port(node, 0), Port(x, 0)
    yield _samples(*batch, biased=bias is not None).only_across()
    if not isinstance(channels, int) or not isinstance(features, int):
        yield from (frozen(Port(v, 1), why="the number of channels is open") for v in (x, node))
        return
    c, o = channels // groups, features // groups
    inner, outer = _weight_ports(node, groups, c, o)
    biases = () if bias is None else (bias,)
    whole, group = Port(node, 1, Factor(o, 1)), Port(node, 1, Factor(groups, o))
    mine = (Port(node, 0), group)
    yield dual(Port(x, 1, Factor(c, 1)), inner).only_across(*mine)
    yield same(whole, outer, *(Port(b, 0, Factor(o, 1)) for b in biases)).only_across(*mine)
    if groups > 1:
        yield product(
            group,
            Port(x, 1, Factor(groups, c)),
            Port(w, 0, Factor(groups, o if isinstance(node, Conv) else c)),
            *(Port(b, 0, Factor(groups, o)) for b in biases),
            why=f"{node.op} keeps {groups} groups apart",
        ).only_across(Port(node, 0))


def _samples(z: Port, x: Port, *, biased: bool) -> Law:
    return kept(z, x, why="adds one bias to all samples") if biased else same(z, x)


def _weight_ports(node: Conv | ConvTranspose, groups: int, c: int, o: int) -> tuple[Port, Port]:
    """The weight's input and output channels within a group."""
    if isinstance(node, Conv):
        return Port(node.w, 1), Port(node.w, 0, Factor(o, 1))
    return Port(node.w, 0, Factor(c, 1)), Port(node.w, 1)
