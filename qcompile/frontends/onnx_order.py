"""Which nodes of an ONNX graph count, and in which order they can be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, TypeAlias

import onnx

from qcompile.errors import BadModel, UnsupportedOps
from qcompile.frontends.onnx_foreign import captured

Stored: TypeAlias = onnx.TensorProto | onnx.SparseTensorProto


def stored_tensors(graph: onnx.GraphProto) -> dict[str, Stored]:
    """The initializers by name."""
    named: list[tuple[str, Stored]] = [(t.name, t) for t in graph.initializer]
    named += [(t.values.name, t) for t in graph.sparse_initializer]
    twice = [name for name, count in Counter(name for name, _ in named).items() if count > 1]
    if twice:
        raise BadModel(f"two initializers are named {twice[0]!r}")
    return dict(named)


def refuse_unknown(nodes: Sequence[onnx.NodeProto]) -> None:
    """Names, all at once, the operators that neither ONNX nor onnxruntime defines."""
    unknown = Counter(
        f"{node.domain}::{node.op_type}" if node.domain else node.op_type
        for node in nodes
        if not onnx.defs.has(node.op_type, "" if node.domain == "ai.onnx" else node.domain)
    )
    if not unknown:
        return
    known = _known_to_onnxruntime()
    listed = [f"{name} ({count})" for name, count in unknown.items() if name not in known]
    if listed:
        raise UnsupportedOps(
            f"operators that neither ONNX nor onnxruntime knows: {', '.join(listed)}: "
            "rewrite them in standard ones, or give them as functions of the model"
        )


def _known_to_onnxruntime() -> set[str]:
    state: Any = import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    schemas = state.get_all_operator_schema()
    return {f"{s.domain}::{s.name}" if s.domain else s.name for s in schemas}


def live_nodes(
    graph: onnx.GraphProto, outputs: Sequence[str], *, own: set[str], outer: set[str]
) -> list[onnx.NodeProto]:
    """The nodes that the outputs need, operands first; names what is missing or circular.

    `own` are the graph's constants, `outer` the names that it sees from outside.
    """
    makers = _makers(graph, own | {value.name for value in graph.input})
    given = (own | outer) - makers.keys()
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
                raise BadModel(
                    f"two values are named {name!r}: {node.op_type} {node.name!r} and another"
                )
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
    open_nodes: set[int] = set()
    stack = [root]
    while stack:
        index = stack[-1]
        if index in order:
            stack.pop()
            continue
        open_nodes.add(index)
        pending = [m for m in _read_from(graph.node[index], makers, given) if m not in order]
        circular = [m for m in pending if m in open_nodes]
        if circular:
            node = graph.node[circular[0]]
            raise BadModel(f"the graph has a cycle through {node.op_type} {node.output[0]!r}")
        if pending:
            stack.extend(reversed(pending))
            continue
        stack.pop()
        open_nodes.remove(index)
        order[index] = graph.node[index]


def _read_from(node: onnx.NodeProto, makers: Mapping[str, int], given: set[str]) -> list[int]:
    """The nodes whose results it reads."""
    found: list[int] = []
    for name in [*node.input, *captured(node)]:
        if not name or name in given:
            continue
        if name not in makers:
            title = node.name or next(iter(node.output), "")
            raise BadModel(
                f"{node.op_type} {title!r} reads {name!r}, which is no input, initializer or "
                "output of a node"
            )
        found.append(makers[name])
    return found
