"""Operators that the compiler passed through unread: written back as they were."""

from __future__ import annotations

from onnx import NodeProto, defs

from qcompile.errors import NotLegal
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.foreign import Foreign
from qcompile.targets.onnx.model import OPSETS, Writer


def foreign(w: Writer, node: Foreign) -> None:
    """The operator with all its results, once for all the nodes that read one of them."""
    siblings = [n for n in w.graph.nodes if isinstance(n, Foreign) and _call(n) == _call(node)]
    if siblings[0] is not node:
        return
    proto = NodeProto.FromString(node.payload)
    named = {n.index: w.names[n] for n in siblings}
    count = len(node.results)
    outputs = [named.get(i) or w.fresh() for i in range(count)]
    del proto.input[:], proto.output[:]
    proto.input.extend(_inputs(w, node))
    proto.output.extend(outputs)
    proto.name = outputs[0]
    w.nodes.append(proto)
    if node.domain not in ("", "ai.onnx"):
        w.domains[node.domain] = max(node.opset, w.domains.get(node.domain, 0))


def _call(node: Foreign) -> tuple[str, str, bytes, tuple[Node, ...]]:
    return node.op_type, node.domain, node.payload, node.xs


def _inputs(w: Writer, node: Foreign) -> list[str]:
    """The operands in their places; an input that the payload leaves empty stays empty."""
    given = [w.value(x) for x in node.xs]
    places = list(NodeProto.FromString(node.payload).input)
    if sum(1 for p in places if p) != len(given):
        return given
    source = iter(given)
    return [next(source) if place else "" for place in places]


def usable_opsets(graph: Graph) -> list[int]:
    """The operator sets, least first, in which every foreign operator means what it meant."""
    found = list(OPSETS)
    for node in graph.nodes:
        if isinstance(node, Foreign) and node.domain in ("", "ai.onnx"):
            found = [v for v in found if _same_meaning(node, v)]
    if not found:
        kinds = sorted({f"{n.title}-{n.opset}" for n in graph.nodes if isinstance(n, Foreign)})
        raise NotLegal(f"no operator set from {OPSETS[0]} to {OPSETS[-1]} has all of {kinds}")
    return found


def _same_meaning(node: Foreign, opset: int) -> bool:
    try:
        then = defs.get_schema(node.op_type, node.opset, "")
        now = defs.get_schema(node.op_type, opset, "")
    except defs.SchemaError:
        return False
    return then.since_version == now.since_version
