"""Pieces of a written model: some of its values computed from others that are given."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto

from qcompile.ir.types import TensorType
from qcompile.targets.onnx.model import value_info

GIVEN = "~given"


def part_of(
    model: ModelProto, given: Mapping[str, TensorType], wanted: Sequence[str]
) -> ModelProto:
    """The model's own operators that compute `wanted`, each reading a given value where there is
    one. A given value is an input called `NAME~given`, so that it may be wanted as well."""
    nodes = _needed(model.graph, given, wanted)
    read = {name for node in nodes for name in node.input}
    part = ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    part.graph.name = model.graph.name
    part.graph.node.extend(_fed(node, given) for node in nodes)
    part.graph.initializer.extend(t for t in model.graph.initializer if t.name in read)
    part.graph.input.extend(
        value_info(name + GIVEN, kind.elem, kind.shape)
        for name, kind in given.items()
        if name in read
    )
    part.graph.output.extend(ValueInfoProto(name=name) for name in wanted)
    return part


def _needed(graph: GraphProto, given: Collection[str], wanted: Iterable[str]) -> list[NodeProto]:
    """The operators behind the wanted values up to the given ones, in the model's order."""
    makers = {name: place for place, node in enumerate(graph.node) for name in node.output}
    places: set[int] = set()
    stack = [makers[name] for name in wanted]
    while stack:
        place = stack.pop()
        if place in places:
            continue
        places.add(place)
        free = (name for name in graph.node[place].input if name not in given)
        stack.extend(makers[name] for name in free if name in makers)
    return [graph.node[place] for place in sorted(places)]


def _fed(node: NodeProto, given: Collection[str]) -> NodeProto:
    """The operator, which reads what is given."""
    copy = NodeProto()
    copy.CopyFrom(node)
    for place, name in enumerate(node.input):
        if name in given:
            copy.input[place] = name + GIVEN
    return copy
