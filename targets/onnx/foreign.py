"""Operators that the compiler passed through unread: written back as they were.

Their names are made new, in their subgraphs too. Where the operator changed between the operator
set it was written in and the model's, ONNX's own converter translates it.
"""

from __future__ import annotations

from collections.abc import Mapping

from onnx import GraphProto, NodeProto, defs, numpy_helper, version_converter

from qcompile.errors import NotLegal
from qcompile.execute.foreign import one_node_model
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.foreign import Foreign
from qcompile.targets.onnx.model import OPSETS, Writer


def foreign(w: Writer, node: Foreign) -> None:
    """The operator with all its results, once for all the nodes that read one of them."""
    siblings = [n for n in w.graph.nodes if isinstance(n, Foreign) and _call(n) == _call(node)]
    if siblings[0] is not node:
        return
    named = {n.index: w.names[n] for n in siblings}
    values = [w.value(x) for x in node.xs]
    outputs = [
        (named.get(i) or w.fresh()) if name else "" for i, name in enumerate(node.result_names)
    ]
    if _same_meaning(node, w.opset):
        body = GraphProto(node=[NodeProto.FromString(node.payload)])
        scope = dict(zip((*node.names, *node.result_names), (*values, *outputs), strict=True))
    else:
        body = _converted(node, w.opset)
        scope = {f"in.{i}": value for i, value in enumerate(values)}
        scope |= {f"out.{i}": output for i, output in enumerate(outputs) if output}
    _inline(w, body, {**scope, "": ""})
    for domain, version in node.opsets:
        if domain not in ("", "ai.onnx"):
            w.domains[domain] = max(version, w.domains.get(domain, 0))


def _call(node: Foreign) -> tuple[str, str, bytes, tuple[Node, ...]]:
    return node.op_type, node.domain, node.payload, node.xs


def _inline(w: Writer, body: GraphProto, scope: dict[str, str]) -> None:
    for tensor in body.initializer:
        scope[tensor.name] = w.constant(array := numpy_helper.to_array(tensor), array.dtype)
    for proto in body.node:
        w.nodes.append(_renamed(w, proto, scope))


def _renamed(w: Writer, proto: NodeProto, scope: dict[str, str]) -> NodeProto:
    """The node under new names; what it defines joins the scope."""
    result = NodeProto()
    result.CopyFrom(proto)
    for attribute in result.attribute:
        if attribute.HasField("g"):
            _rename_graph(w, attribute.g, scope)
        for graph in attribute.graphs:
            _rename_graph(w, graph, scope)
    result.input[:] = [scope[name] for name in proto.input]
    for name in proto.output:
        scope.setdefault(name, w.fresh())
    result.output[:] = [scope[name] for name in proto.output]
    result.name = next((name for name in result.output if name), "")
    return result


def _rename_graph(w: Writer, graph: GraphProto, outer: Mapping[str, str]) -> None:
    """Renames in place; inner names hide outer ones."""
    scope = dict(outer)
    for value in (*graph.input, *graph.initializer):
        scope[value.name] = w.fresh()
        value.name = scope[value.name]
    for value in graph.sparse_initializer:
        scope[value.values.name] = w.fresh()
        value.values.name = scope[value.values.name]
    for proto in graph.node:
        for name in proto.output:
            scope[name] = w.fresh() if name else ""
        proto.CopyFrom(_renamed(w, proto, scope))
    for value in graph.output:
        value.name = scope[value.name]
    del graph.value_info[:]


def usable_opsets(graph: Graph) -> list[int]:
    """The operator sets to try: first those in which all foreign operators mean what they meant."""
    foreigners = [n for n in graph.nodes if isinstance(n, Foreign)]
    fitting = [v for v in OPSETS if all(_same_meaning(n, v) for n in foreigners)]
    return [*fitting, *(v for v in OPSETS if v not in fitting)]


def _same_meaning(node: Foreign, opset: int) -> bool:
    then = dict(node.opsets).get("", opset)
    return _unchanged(NodeProto.FromString(node.payload), then, opset)


def _unchanged(proto: NodeProto, then: int, now: int) -> bool:
    graphs = [a.g for a in proto.attribute if a.HasField("g")]
    graphs += [g for a in proto.attribute for g in a.graphs]
    if not all(_unchanged(inner, then, now) for g in graphs for inner in g.node):
        return False
    if proto.domain not in ("", "ai.onnx") or then == now:
        return True
    try:
        old = defs.get_schema(proto.op_type, then, "").since_version
        return old == defs.get_schema(proto.op_type, now, "").since_version
    except defs.SchemaError:
        return False


def _converted(node: Foreign, opset: int) -> GraphProto:
    """The operator in another operator set, between identities `in.i` and `out.i`."""
    try:
        return version_converter.convert_version(one_node_model(node), opset).graph
    except Exception as error:  # the converter's C++ errors share no base
        version = dict(node.opsets).get("", 0)
        raise NotLegal(
            f"{node.title} {node.name}: cannot go from operator set {version} to {opset}: {error}"
        ) from error
