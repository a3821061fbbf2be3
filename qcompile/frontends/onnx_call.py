"""One ONNX node as its translator sees it: operands, checked attributes, known contents."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import onnx

from qcompile.errors import BadModel, QcompileError
from qcompile.frontends.onnx_known import Known
from qcompile.ir.dims import Dim, Symbol
from qcompile.ir.node import Node
from qcompile.ir.ops.source import Const, const
from qcompile.ir.types import TensorType

A = onnx.AttributeProto


_CONTRADICTIONS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)


@contextmanager
def contradictions(where: object) -> Generator[None]:
    """What a malformed model makes of otherwise sound code becomes `BadModel` at `where`."""
    try:
        yield
    except QcompileError:
        raise
    except _CONTRADICTIONS as error:
        raise BadModel(f"{where} contradicts itself: {error}") from error


class Opaque(Exception):
    """No op of the IR expresses this form of the operator; the node stays foreign.

    `type` is that of its result where the translator knows better than ONNX's shape inference.
    """

    def __init__(self, reason: str, type_: TensorType | None = None) -> None:
        super().__init__(reason)
        self.type = type_


@dataclass(frozen=True, eq=False)
class Call:
    """An ONNX node with its operands resolved. `uses` names the readers of its first result."""

    node: onnx.NodeProto
    opset: int
    operands: tuple[Node | None, ...]
    known: Known
    wanted: tuple[bool, ...] = (True,)
    readers: tuple[onnx.NodeProto, ...] = ()
    folder: Path | None = None

    @property
    def name(self) -> str:
        """The name of the first result, or of the node when it has none."""
        return next((name for name in self.node.output if name), self.node.name)

    def __str__(self) -> str:
        return f"{self.node.op_type} {self.name!r}"

    # operands

    def x(self, index: int = 0) -> Node:
        """An operand that must be there."""
        node = self.maybe(index)
        if node is None:
            raise BadModel(f"{self}: input {index} is missing")
        return node

    def maybe(self, index: int) -> Node | None:
        """An operand that may be absent."""
        return self.operands[index] if index < len(self.operands) else None

    def every(self) -> tuple[Node, ...]:
        """Every operand, none of which may be absent."""
        if not self.operands:
            raise BadModel(f"{self}: has no inputs")
        return tuple(self.x(i) for i in range(len(self.operands)))

    def kind(self, index: int = 0) -> TensorType:
        """An operand's type."""
        return self.x(index).type

    def const(self, index: int) -> Const:
        """An operand that is constant; otherwise the node stays foreign."""
        node = self.x(index)
        if not isinstance(node, Const):
            raise Opaque(f"input {index} is not constant")
        return node

    def dims(self, index: int) -> tuple[Dim, ...]:
        """The contents of an integer operand, open lengths included."""
        values = self.known.of(self.x(index))
        if values is None:
            raise Opaque(f"input {index} is known only at run time")
        return tuple(values.reshape(-1))

    def numbers(self, index: int) -> tuple[int, ...]:
        """The contents of an integer operand that must all be numbers."""
        values = self.dims(index)
        numbers = tuple(int(v) for v in values if not isinstance(v, Symbol))
        if len(numbers) != len(values):
            raise Opaque(f"input {index} depends on an open dimension")
        return numbers

    def number(self, index: int) -> float:
        """The one number in a constant operand."""
        return float(self.const(index).array.reshape(-1)[0])  # type: ignore[arg-type]

    # attributes

    def has(self, name: str) -> bool:
        """True when the attribute is given."""
        return any(a.name == name for a in self.node.attribute)

    def integer(self, name: str, default: int | None = None) -> int:
        """An integer attribute."""
        return self._attribute(name, A.INT, default, lambda a: int(a.i))

    def integers(self, name: str, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
        """A list of integers."""
        return self._attribute(name, A.INTS, default, lambda a: tuple(int(i) for i in a.ints))

    def real(self, name: str, default: float | None = None) -> float:
        """A float attribute."""
        return self._attribute(name, A.FLOAT, default, lambda a: float(a.f))

    def reals(self, name: str, default: tuple[float, ...] | None = None) -> tuple[float, ...]:
        """A list of floats."""
        return self._attribute(name, A.FLOATS, default, lambda a: tuple(float(f) for f in a.floats))

    def text(self, name: str, default: str | None = None) -> str:
        """A string attribute."""
        return self._attribute(name, A.STRING, default, lambda a: a.s.decode())

    def flag(self, name: str, *, default: bool = False) -> bool:
        """An integer attribute that is 0 or 1."""
        value = self.integer(name, int(default))
        if value not in (0, 1):
            raise BadModel(f"{name} is {value}, must be 0 or 1")
        return value == 1

    def _attribute(
        self, name: str, kind: int, default: Any, read: Callable[[onnx.AttributeProto], Any]
    ) -> Any:
        for attribute in self.node.attribute:
            if attribute.name != name:
                continue
            if attribute.type != kind:
                got, want = A.AttributeType.Name(attribute.type), A.AttributeType.Name(kind)
                raise BadModel(f"{self}: attribute {name} is {got}, wants {want}")
            return read(attribute)
        if default is None:
            raise BadModel(f"{self}: attribute {name} is missing")
        return default


Translator: TypeAlias = Callable[[Call], Node | tuple[Node, ...]]


def axis_of(call: Call, axis: int, rank: int) -> int:
    """The axis, counted from 0."""
    if not -rank <= axis < rank:
        raise BadModel(f"{call}: axis {axis} of a tensor of rank {rank}")
    return axis % rank if rank else 0


def scalar(value: float, like: Node) -> Const:
    """A constant of rank 0 in the other node's element format."""
    return const(value, elem=like.type.elem)
