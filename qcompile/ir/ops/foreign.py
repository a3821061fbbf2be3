"""Operators that the compiler has no op for: typed from outside, run by onnxruntime, opaque."""

from __future__ import annotations

from typing import Protocol

from qcompile.ir.node import Node, op
from qcompile.ir.types import Array, TensorType


class Runner(Protocol):
    """Runs one foreign operator: operand arrays in, all its results out."""

    def __call__(self, node: Foreign, operands: tuple[Array, ...]) -> tuple[Array, ...]: ...


@op
class Foreign(Node):
    """Result `index` of the ONNX operator `domain::op_type`.

    `payload` is the serialized ONNX NodeProto, attributes and subgraphs included. `names` are the
    names under which it knows `xs`: its inputs, then what its subgraphs read from outside.
    `result_names` and `results` are its outputs' names ("" for an absent one) and types; `opsets`
    are the operator sets, by domain, that it is written in.
    """

    op_type: str
    domain: str
    opsets: tuple[tuple[str, int], ...]
    payload: bytes
    xs: tuple[Node, ...]
    names: tuple[str, ...]
    result_names: tuple[str, ...]
    results: tuple[TensorType, ...]
    index: int
    runner: Runner

    def infer(self) -> TensorType:
        quantized = [x for x in self.xs if x.type.unit is not None]
        self.require(not quantized, "takes no quantized values")
        return self.results[self.index]

    def evaluate(self, *operands: Array) -> Array:
        return self.runner(self, operands)[self.index]

    @property
    def title(self) -> str:
        """`com.microsoft::Attention`, or `Attention` of the standard domain."""
        return f"{self.domain}::{self.op_type}" if self.domain else self.op_type
