"""One aten call to translate: what the exporter says of it, and words all translators share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from qcompile.ir.blob import Blob
from qcompile.ir.dims import Dim, Shape, static
from qcompile.ir.node import Node
from qcompile.ir.ops.pointwise import Cast
from qcompile.ir.ops.shape import Reshape, Slice, Transpose
from qcompile.ir.ops.source import Const, const
from qcompile.ir.types import BOOL, F32, Scalar, TensorType

Number: TypeAlias = int | float | bool
Operand: TypeAlias = Node | Number
Result: TypeAlias = Node | tuple[Node | None, ...]
Translator: TypeAlias = Callable[..., Result]
Family: TypeAlias = Mapping[str, Translator]
"""`relu` for every overload of aten.relu, or `max.dim` for one. A translator takes the `Call` and
then the operator's arguments, under the names of its schema; placement and layout are left out."""


class Refusal(Exception):
    """This call of a known operator has no translation; the message says why."""


@dataclass(frozen=True, slots=True)
class Call:
    """The results that the exporter promises; absent ones are None."""

    results: tuple[TensorType | None, ...]

    @property
    def type(self) -> TensorType:
        """The type of the first result."""
        first = self.results[0]
        assert first is not None
        return first

    @property
    def shape(self) -> Shape:
        """The shape of the first result."""
        return self.type.shape

    @property
    def elem(self) -> Scalar:
        """The element format of the first result."""
        return self.type.elem


def cast(x: Node, elem: Scalar) -> Node:
    """x in another element format; x itself when it is of that one."""
    if x.type.elem == elem:
        return x
    if isinstance(x, Const) and x.type.rank == 0:
        return const(x.array.astype(elem.storage))
    return Cast(x, elem)


def operand(value: Operand, elem: Scalar) -> Node:
    """A node of the given format from a node or a number."""
    return cast(value, elem) if isinstance(value, Node) else const(value, elem=elem)


def common(a: Operand, b: Operand) -> Scalar:
    """Torch's promotion: the higher kind wins; among equals tensors over scalars, then width."""

    def rank(value: Operand) -> tuple[int, bool, int]:
        elem = _format(value)
        kind = 2 if elem.is_float else 0 if elem == BOOL else 1
        return kind, isinstance(value, Node) and value.type.rank > 0, elem.bits

    winner = max(a, b, key=rank)
    other = b if winner is a else a
    if isinstance(winner, Node) or not isinstance(other, Node):
        return _format(winner)
    return _format(other) if rank(other)[0] == rank(winner)[0] else _format(winner)


def _format(value: Operand) -> Scalar:
    if isinstance(value, Node):
        return value.type.elem
    if isinstance(value, bool):
        return BOOL
    return F32 if isinstance(value, float) else Scalar("i64")


def axis_of(x: Node, dim: int) -> int:
    """The axis counted from 0."""
    return dim % max(x.type.rank, 1)


def axes_of(x: Node, dims: int | Sequence[int] | None) -> tuple[int, ...]:
    """Axes counted from 0, ascending; all of them when none is named."""
    if isinstance(dims, int):
        dims = (dims,)
    if not dims:
        return tuple(range(x.type.rank))
    return tuple(sorted(axis_of(x, d) for d in dims))


def length(x: Node, axis: int) -> int:
    """The length of an axis, which must be known."""
    found = x.type.shape[axis]
    if not isinstance(found, int):
        raise Refusal(f"axis {axis} of {x.type} is open: bind it with --input-shape")
    return found


def lengths(shape: Shape) -> tuple[int, ...]:
    """All lengths, which must be known."""
    try:
        return static(shape)
    except ValueError as error:
        raise Refusal(f"{error}: bind them with --input-shape") from error


def each(value: int | Sequence[int], count: int) -> tuple[int, ...]:
    """One number for each of `count` axes; a single one stands for all."""
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * count if len(values) == 1 else values


def reshape(x: Node, shape: Sequence[Dim]) -> Node:
    """x under another shape; x itself when it has that one."""
    return x if x.type.shape == tuple(shape) else Reshape(x, tuple(shape))


def permute(x: Node, perm: Sequence[int]) -> Node:
    """Axis i of the result is axis perm[i] of x. A constant is turned where it lies, uncopied."""
    perm = tuple(perm)
    if perm == tuple(range(x.type.rank)):
        return x
    if not isinstance(x, Const):
        return Transpose(x, perm)
    data = x.data
    turned = Blob(
        tuple(data.shape[p] for p in perm), data.dtype, lambda: data.array().transpose(perm)
    )
    return Const(turned, x.elem, name=f"{x.name}.T" if x.name else "")


def swap(x: Node, a: int, b: int) -> Node:
    """x with two axes exchanged."""
    perm = list(range(x.type.rank))
    a, b = axis_of(x, a), axis_of(x, b)
    if perm:
        perm[a], perm[b] = perm[b], perm[a]
    return permute(x, perm)


def cut(x: Node, axis: int, start: int, stop: Dim, *, step: int = 1) -> Node:
    """x[start:stop:step] along one axis; x itself when that is all of it."""
    if (start, stop, step) == (0, x.type.shape[axis], 1):
        return x
    return Slice(x, (axis,), (start,), (stop,), (step,))


def vector(value: float, count: int, elem: Scalar) -> Const:
    """A constant of `count` equal numbers."""
    return const(np.full(count, value, elem.storage))
