"""Nodes of an ONNX graph → nodes of the IR, operands first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx

from qcompile.errors import BadModel, QcompileError, TypeMismatch
from qcompile.frontends.onnx_call import Call, Opaque
from qcompile.frontends.onnx_foreign import Outside, captured, foreign, subgraphs
from qcompile.frontends.onnx_known import SMALL, Known
from qcompile.frontends.onnx_tensor import constant
from qcompile.frontends.onnx_translators import TRANSLATORS
from qcompile.ir.dims import is_static, size
from qcompile.ir.node import Node
from qcompile.ir.ops.foreign import Foreign
from qcompile.ir.ops.quant import Dequantize, FakeQuant, Quantize
from qcompile.ir.ops.source import Const, Input, const

_RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli",
           "Multinomial", "Dropout"}  # fmt: skip


@dataclass
class Reader:
    """Reads nodes into `values`; names of outer graphs stay visible in inner ones."""

    opsets: Mapping[str, int]
    folder: Path | None
    known: Known = field(default_factory=Known)
    values: dict[str, Node] = field(default_factory=dict)

    def read(self, graph: onnx.GraphProto, outputs: Sequence[str]) -> tuple[Node, ...]:
        """The nodes that stand for `outputs`."""
        tensors = _tensors(graph)
        nodes = live_nodes(graph, outputs, given={*self.values, *tensors})
        readers = _readers(nodes)
        wanted = {name for n in nodes for name in [*n.input, *captured(n)]} | set(outputs)
        for name in sorted(wanted & tensors.keys()):
            self.values[name] = constant(tensors[name], folder=self.folder, name=name)
        for node in nodes:
            self._take(node, readers, wanted)
        missing = [name for name in outputs if name not in self.values]
        if missing:
            raise BadModel(f"output {missing[0]!r} is computed by no node")
        return tuple(self.values[name] for name in outputs)

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
        try:
            results = self._translated(call)
        except QcompileError:
            raise
        except (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError,
                RecursionError, AssertionError) as error:  # fmt: skip
            raise BadModel(f"{call}: contradicts itself: {error}") from error
        if len(results) < sum(bool(name) for name in node.output[: len(call.wanted)]) and any(
            call.wanted[len(results) :]
        ):
            raise BadModel(f"{call}: has more outputs than the operator gives")
        for name, result in zip(node.output, results, strict=False):
            if name:
                self.values[name] = self._settled(name, result)

    def _translated(self, call: Call) -> tuple[Node, ...]:
        """By its translator; foreign when there is none, or when no op fits."""
        translate = TRANSLATORS.get(call.node.op_type) if _standard(call.node) else None
        try:
            if translate is not None:
                found = translate(call)
                return found if isinstance(found, tuple) else (found,)
            return self._foreign(call)
        except Opaque:
            return self._foreign(call)
        except TypeMismatch as error:
            return self._refused(call, error)

    def _refused(self, call: Call, error: TypeMismatch) -> tuple[Node, ...]:
        """The op refuses its operands: perhaps onnxruntime takes them."""
        try:
            return self._foreign(call)
        except QcompileError:
            raise BadModel(f"{call}: {error}") from error

    def _foreign(self, call: Call) -> tuple[Node, ...]:
        names = tuple(dict.fromkeys([n for n in call.node.input if n] + [*captured(call.node)]))
        xs = tuple(self.values[name] for name in names)
        return foreign(call, Outside(names, xs, tuple(self.opsets.items())))

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


def _value(node: Node, depth: int = 8) -> object:
    """Evaluated from constants through at most `depth` nameless steps."""
    if isinstance(node, Const):
        return node.array if node.data.nbytes <= 1 << 20 else None
    if not node.operands or depth == 0 or isinstance(node, Quantize | Dequantize | FakeQuant):
        return None
    values = [_value(o, depth - 1) for o in node.operands]
    if any(v is None for v in values):
        return None
    return node.evaluate(*values)  # type: ignore[arg-type]


def _standard(node: onnx.NodeProto) -> bool:
    return node.domain in ("", "ai.onnx")


def _tensors(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    found: dict[str, onnx.TensorProto] = {}
    for tensor in graph.initializer:
        if tensor.name in found:
            raise BadModel(f"two initializers are named {tensor.name!r}")
        found[tensor.name] = tensor
    return found


def _readers(nodes: Sequence[onnx.NodeProto]) -> dict[str, list[onnx.NodeProto]]:
    found: dict[str, list[onnx.NodeProto]] = {}
    for node in nodes:
        for name in dict.fromkeys([*node.input, *captured(node)]):
            found.setdefault(name, []).append(node)
    return found


def live_nodes(
    graph: onnx.GraphProto, outputs: Sequence[str], given: set[str]
) -> list[onnx.NodeProto]:
    """The nodes that the outputs need, operands first; names what is missing or circular."""
    makers = _makers(graph, given)
    order: dict[int, onnx.NodeProto] = {}
    for output in outputs:
        if output in makers:
            _visit(graph, makers[output], makers, given, order)
    return list(order.values())


def _makers(graph: onnx.GraphProto, given: set[str]) -> dict[str, int]:
    makers: dict[str, int] = {}
    for i, node in enumerate(graph.node):
        for name in node.output:
            if name and (name in makers or name in given):
                raise BadModel(f"two values are named {name!r}: {node.op_type} {node.name!r} and another")
            if name:
                makers[name] = i
    return makers


def _visit(
    graph: onnx.GraphProto,
    root: int,
    makers: Mapping[str, int],
    given: set[str],
    order: dict[int, onnx.NodeProto],
) -> None:
    """Depth first, without recursion: a node is placed when all that it reads is."""
    open_nodes: dict[int, None] = {}
    stack = [root]
    while stack:
        index = stack[-1]
        node = graph.node[index]
        if index in order:
            stack.pop()
            continue
        open_nodes[index] = None
        pending: list[int] = []
        for name in [*node.input, *captured(node)]:
            if not name or name in given:
                continue
            if name not in makers:
                raise BadModel(
                    f"{node.op_type} {node.name or node.output[0]!r} reads {name!r}, which is no "
                    "input, initializer or output of a node"
                )
            if makers[name] not in order:
                pending.append(makers[name])
        circular = [i for i in pending if i in open_nodes]
        if circular:
            raise BadModel(f"the graph has a cycle through {graph.node[circular[0]].op_type} "
                           f"{graph.node[circular[0]].output[0]!r}")  # fmt: skip
        if pending:
            stack.extend(reversed(pending))
            continue
        stack.pop()
        del open_nodes[index]
        order[index] = node
