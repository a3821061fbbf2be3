"""Torch's formats, tensors and open lengths, in our words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from operator import add, mul
from typing import Any, Final

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.export import ExportedProgram
from torch.utils._sympy.functions import FloorDiv

from qcompile.errors import BadModel, UsageError
from qcompile.ir.blob import Blob
from qcompile.ir.dims import Dim, Symbol
from qcompile.ir.node import Node
from qcompile.ir.types import Array, Scalar, TensorType

_FORMATS: Final[Mapping[torch.dtype, str]] = {
    torch.float64: "f64",
    torch.float32: "f32",
    torch.float16: "f16",
    torch.bfloat16: "bf16",
    torch.int64: "i64",
    torch.int32: "i32",
    torch.int16: "i16",
    torch.int8: "i8",
    torch.uint8: "u8",
    torch.bool: "bool",
}


class Lengths:
    """What the program's open lengths are called, or which numbers `shapes` bind them to."""

    def __init__(self, program: ExportedProgram, shapes: Mapping[str, Sequence[int]]) -> None:
        self._known: dict[Any, Dim] = {}
        inputs = {
            node.name: node.meta["val"]
            for node in program.graph.nodes
            if node.name in program.graph_signature.user_inputs
            and isinstance(node.meta.get("val"), Tensor)
        }
        strangers = [name for name in shapes if name not in inputs]
        if strangers:
            raise UsageError(
                f"no input named {', '.join(strangers)}: the model takes {', '.join(inputs)}"
            )
        for name, shape in shapes.items():
            self._bind(name, inputs[name].shape, shape, program.range_constraints)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]: sympy has no types
        for name, value in inputs.items():
            for axis, length in enumerate(value.shape):
                if isinstance(length, torch.SymInt):
                    self._known.setdefault(_expr(length), Symbol(f"{name}_{axis}"))

    def _bind(
        self, name: str, declared: Sequence[Any], given: Sequence[int], ranges: Mapping[Any, Any]
    ) -> None:
        if len(declared) != len(given):
            raise UsageError(f"input {name} has {len(declared)} axes, the shape given {len(given)}")
        for axis, (length, number) in enumerate(zip(declared, given, strict=True)):
            lower, upper = _bounds(length, ranges)
            if isinstance(length, torch.SymInt):
                known: Any = self._known.setdefault(_expr(length), number)
                lower, upper = (known, known) if known != number else (lower, upper)
            if not lower <= number <= upper:
                allowed = lower if lower == upper else f"{lower} to {upper}"
                raise UsageError(f"axis {axis} of input {name} is {allowed}: it cannot be {number}")

    def dim(self, length: int | torch.SymInt) -> Dim:
        """The length as a number or a symbol."""
        return length if isinstance(length, int) else self._express(_expr(length))

    def learn(self, promised: Iterable[Any], found: Node | tuple[Node | None, ...]) -> None:
        """Calls a computed length as the operations' own type rules call it."""
        nodes = (found,) if isinstance(found, Node) else found
        for value, node in zip(promised, nodes, strict=False):
            if node is None:
                continue
            for length, dim in zip(value.shape, node.type.shape, strict=True):
                if isinstance(length, torch.SymInt):
                    self._known.setdefault(_expr(length), dim)

    def _express(self, expr: Any) -> Dim:
        if expr in self._known:
            return self._known[expr]
        if expr.is_Integer:
            return int(expr)
        parts: list[Any] = [self._express(part) for part in expr.args]
        parts.sort(key=lambda part: isinstance(part, int))
        if expr.is_Add:
            return reduce(add, parts)
        if expr.is_Mul:
            return reduce(mul, parts)
        if isinstance(expr, FloorDiv):
            return _quotient(*(self._express(part) for part in expr.args))
        bound = expr.subs({k: v for k, v in self._known.items() if isinstance(v, int)})
        return int(bound) if bound.is_Integer else Symbol(f"({expr})".replace(" ", ""))


def _quotient(a: Dim, b: Dim) -> Dim:
    if isinstance(a, Symbol):
        return a // b
    return a // b if isinstance(b, int) else Symbol(f"({a}//{b})")


def _bounds(length: int | torch.SymInt, ranges: Mapping[Any, Any]) -> tuple[Any, Any]:
    if isinstance(length, int):
        return length, length
    found = ranges.get(_expr(length))
    return (0, float("inf")) if found is None else (found.lower, found.upper)


def _expr(length: torch.SymInt) -> Any:
    node: Any = length.node
    return node.expr


def kind_of(value: Tensor, lengths: Lengths, *, where: str) -> TensorType:
    """The type of a tensor, real or promised."""
    if value.dtype not in _FORMATS:
        raise BadModel(f"{where} is of {value.dtype}, which the compiler has no format for")
    return TensorType(tuple(lengths.dim(d) for d in value.shape), Scalar(_FORMATS[value.dtype]))


def real_of(dtype: torch.dtype) -> Scalar:
    """The format of a part of a complex number; of a real one its own."""
    return Scalar(_FORMATS[dtype.to_real()])


def blob_of(tensor: Tensor, *, where: str) -> Blob:
    """The tensor's own memory, uncopied while it lies on the processor."""
    if isinstance(tensor, FakeTensor) or tensor.is_meta:
        raise BadModel(f"{where} has no values: export a module whose weights are loaded")
    storage = Scalar(_FORMATS[tensor.dtype]).storage

    def load() -> Array:
        plain = tensor.detach().cpu().resolve_neg()
        if plain.dtype == torch.bfloat16:
            return plain.contiguous().view(torch.int16).numpy().view(storage)
        return plain.numpy()

    return Blob(tuple(tensor.shape), storage, load)
