"""Nodes of an ONNX graph → nodes of the IR, operands first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx

from qcompile.errors import BadModel, QcompileError, TypeMismatch
from qcompile.frontends.onnx_call import Call, Opaque, contradictions
from qcompile.frontends.onnx_foreign import Outside, captured, foreign, try_out
from qcompile.frontends.onnx_known import SMALL, Known
from qcompile.frontends.onnx_order import Stored, live_nodes, refuse_unknown, stored_tensors
from qcompile.frontends.onnx_tensor import constant, sparse_constant
from qcompile.frontends.onnx_translators import translator
from qcompile.ir.dims import is_static, size
from qcompile.ir.node import Node
from qcompile.ir.ops.foreign import Foreign
from qcompile.ir.ops.quant import Dequantize, FakeQuant, Quantize
from qcompile.ir.ops.source import Const, Input, const
from qcompile.ir.types import Array, TensorType

_RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli",
           "Multinomial", "Dropout"}  # fmt: skip


@dataclass
class Reader:
    """Reads nodes into `values`; names of outer graphs stay visible in inner ones."""

    opsets: Mapping[str, int]
    folder: Path | None
    binding: Mapping[str, int]
    known: Known = field(default_factory=Known)
    values: dict[str, Node] = field(default_factory=dict)

    def read(self, graph: onnx.GraphProto, outputs: Sequence[str]) -> tuple[Node, ...]:
        """The nodes that stand for `outputs`."""
        tensors = stored_tensors(graph)
        nodes = live_nodes(graph, outputs, own={*tensors}, outer={*self.values})
        refuse_unknown(nodes)
        readers = _readers(nodes)
        wanted = {name for n in nodes for name in [*n.input, *captured(n)]} | set(outputs)
        for name in sorted(wanted & tensors.keys()):
            self.values[name] = self._stored(tensors[name], name)
        for node in nodes:
            self._take(node, readers, wanted)
        missing = [name for name in outputs if name not in self.values]
        if missing:
            raise BadModel(f"output {missing[0]!r} is computed by no node")
        return tuple(self.values[name] for name in outputs)

    def _stored(self, tensor: Stored, name: str) -> Const:
        with contradictions(f"tensor {name!r}"):
            if isinstance(tensor, onnx.SparseTensorProto):
                return sparse_constant(tensor, folder=self.folder, name=name)
            return constant(tensor, folder=self.folder, name=name)

    def _take(
        self,
        node: onnx.NodeProto,
        readers: Mapping[str, list[onnx.NodeProto]],
        wanted: set[str],
    ) -> None:
        first = next((name for name in node.output if name), "")
        call = Call(
            node,
            self.opsets.get("", onnx.defs.onnx_opset_version()),
            tuple(self.values[name] if name else None for name in node.input),
            self.known,
            tuple(name in wanted for name in node.output),
            tuple(readers.get(first, ())),
            self.folder,
        )
        with contradictions(call):
            results = self._translated(call)
            if any(call.wanted[len(results) :]):
                raise BadModel(f"{call}: has more outputs than the operator gives")
            for name, result in zip(node.output, results, strict=False):
                if name:
                    self.values[name] = self._settled(name, result)

    def _translated(self, call: Call) -> tuple[Node, ...]:
        """By its translator; foreign when there is none, or when no op fits."""
        if call.node.op_type == "If" and isinstance(call.maybe(0), Const):
            return self._branch(call)
        translate = translator(call.node)
        try:
            if translate is not None:
                found = translate(call)
                return found if isinstance(found, tuple) else (found,)
            return self._foreign(call)
        except Opaque as reason:
            return self._foreign(call, reason.type)
        except TypeMismatch as error:
            return self._refused(call, error)

    def _branch(self, call: Call) -> tuple[Node, ...]:
        """The branch that a constant condition chooses, in place of the node."""
        chosen = "then_branch" if call.const(0).array.reshape(-1)[0] else "else_branch"
        graph = next((a.g for a in call.node.attribute if a.name == chosen), None)
        if graph is None:
            raise BadModel(f"{call}: has no {chosen}")
        inner = Reader(self.opsets, self.folder, self.binding, self.known, dict(self.values))
        return inner.read(graph, [value.name for value in graph.output])

    def _refused(self, call: Call, error: TypeMismatch) -> tuple[Node, ...]:
        """The op refuses its operands; onnxruntime may take them, which known shapes must prove."""
        try:
            outside = self._outside(call)
            if all(is_static(x.type.shape) for x in outside.xs):
                try_out(call, outside)
            return foreign(call, outside)
        except QcompileError:
            raise BadModel(f"{call}: {error}") from error

    def _foreign(self, call: Call, kind: TensorType | None = None) -> tuple[Node, ...]:
        return foreign(call, self._outside(call), kind)

    def _outside(self, call: Call) -> Outside:
        names = tuple(dict.fromkeys([n for n in call.node.input if n] + [*captured(call.node)]))
        xs = tuple(self.values[name] for name in names)
        return Outside(names, xs, tuple(self.opsets.items()), self.binding)

    def _settled(self, name: str, node: Node) -> Node:
        """Named, and a constant when all its elements are known."""
        if isinstance(node, Const | Input):
            return node if node.name else node.replace(name=name)
        whole = self.known.whole(node)
        if whole is not None:
            return const(whole, elem=node.type.elem, name=name)
        node = node if node.name else node.replace(name=name)
        return _folded(node)


def _folded(node: Node) -> Node:
    """Small values computed from constants alone are constants, but for markers and chance."""
    count = size(node.type.shape)
    if not isinstance(count, int) or count > SMALL or not is_static(node.type.shape):
        return node
    if isinstance(node, Quantize | Dequantize | FakeQuant):
        return node
    if isinstance(node, Foreign) and (node.op_type in _RANDOM or not node.xs):
        return node
    value = _value(node)
    return node if value is None else const(value, elem=node.type.elem, name=node.name)


def _value(node: Node, depth: int = 8) -> Array | None:
    """Evaluated from constants through at most `depth` nameless steps."""
    if isinstance(node, Const):
        return node.array if node.data.nbytes <= 1 << 20 else None
    if not node.operands or depth == 0 or isinstance(node, Quantize | Dequantize | FakeQuant):
        return None
    values = [_value(o, depth - 1) for o in node.operands]
    known = [v for v in values if v is not None]
    return node.evaluate(*known) if len(known) == len(values) else None


def _readers(nodes: Sequence[onnx.NodeProto]) -> dict[str, list[onnx.NodeProto]]:
    found: dict[str, list[onnx.NodeProto]] = {}
    for node in nodes:
        for name in dict.fromkeys([*node.input, *captured(node)]):
            found.setdefault(name, []).append(node)
    return found
