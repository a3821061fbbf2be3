"""A node is one operation and the value it computes: frozen, typed when built, runnable."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any, Self, TypeVar, dataclass_transform

from qcompile.errors import TypeMismatch
from qcompile.ir.types import Array, TensorType

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class Node:
    """One operation and its result, compared by identity.

    Fields that hold nodes (or tuples of nodes) are operands, all others attributes. `infer` is the
    type rule and raises `TypeMismatch`; `evaluate` is the meaning, in numpy, exact for integers.
    """

    name: str = field(default="", kw_only=True)
    type: TensorType = field(init=False)

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "type", self.infer())
        except TypeMismatch:
            raise
        except ValueError as error:
            raise TypeMismatch(f"{self}: {error}") from error

    def infer(self) -> TensorType:
        """The type of the result."""
        raise NotImplementedError

    def evaluate(self, *operands: Array) -> Array:
        """The value of the result, given the operands' values in order."""
        raise NotImplementedError

    def require(self, condition: bool, complaint: str) -> None:
        """Raises `TypeMismatch` with this operation's picture unless the condition holds."""
        if not condition:
            raise TypeMismatch(f"{self}: {complaint}")

    @property
    def op(self) -> str:
        """The operation's name in text: `max_pool`."""
        return op_name(type(self))

    @property
    def operands(self) -> tuple[Node, ...]:
        """The nodes this one reads, in field order; absent optional ones are left out."""
        return tuple(_nodes(self))

    @property
    def attributes(self) -> dict[str, Any]:
        """The fields that are not operands, `name` and `type` left out."""
        return {n: v for n in _own(type(self)) if not _holds_nodes(v := getattr(self, n))}

    def with_operands(self, new: Iterable[Node]) -> Self:
        """This operation on other operands; itself when they are the same."""
        fresh = tuple(new)
        if fresh == self.operands:
            return self
        source = iter(fresh)
        changes = {
            n: _swap(value, source)
            for n in _own(type(self))
            if _holds_nodes(value := getattr(self, n))
        }
        return replace(self, **changes)

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed, typed anew."""
        return replace(self, **changes)

    def __str__(self) -> str:
        operands = ", ".join(str(o.type) for o in self.operands)
        return f"{self.op} {self.name}({operands})" if self.name else f"{self.op}({operands})"

    __repr__ = __str__


@cache
def _own(cls: type[Node]) -> tuple[str, ...]:
    return tuple(f.name for f in fields(cls) if f.name not in ("name", "type"))


@cache
def op_name(cls: type[Node]) -> str:
    """`MaxPool` → `max_pool`."""
    return _CAMEL.sub("_", cls.__name__).lower()


def _holds_nodes(value: object) -> bool:
    match value:
        case Node():
            return True
        case (Node(), *_):  # pyright: ignore[reportUnknownVariableType] - only the head matters
            return True
        case _:
            return False


def _nodes(node: Node) -> Iterator[Node]:
    for name in _own(type(node)):
        match getattr(node, name):
            case Node() as operand:
                yield operand
            case (Node(), *_) as operands:
                yield from operands
            case _:
                pass


def _swap(value: Node | tuple[Node, ...], source: Iterator[Node]) -> Node | tuple[Node, ...]:
    return next(source) if isinstance(value, Node) else tuple(next(source) for _ in value)


N = TypeVar("N", bound=Node)


@dataclass_transform(frozen_default=True, eq_default=False)
def op(cls: type[N]) -> type[N]:
    """Makes a class an operation: frozen, slotted, compared by identity."""
    return dataclass(frozen=True, eq=False, slots=True, repr=False)(cls)
