"""Scans with a body of their own, written out step by step."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx
from torch.export import ExportedProgram

LONGEST = 1024  # steps that are written out
_SELECT: Any = torch.ops.aten.select.int
_STACK: Any = torch.ops.aten.stack.default


def unroll_scans(program: ExportedProgram) -> ExportedProgram:
    """The program, its scans written out in place; those of open length or with inner ones stay."""
    graph = program.graph
    for node in list(graph.nodes):
        if node.op == "call_function" and str(node.target) == "scan" and _can_unroll(program, node):
            _unroll(graph, node, _body(program, node))
    return program


def _body(program: ExportedProgram, node: fx.Node) -> fx.GraphModule:
    """The graph of one step, which the first argument names."""
    name: Any = node.args[0]
    body = getattr(program.graph_module, str(name.target))
    assert isinstance(body, fx.GraphModule)
    return body


def _can_unroll(program: ExportedProgram, node: fx.Node) -> bool:
    steps = _steps(node)
    inner = any(n.op in ("get_attr", "call_module") for n in _body(program, node).graph.nodes)
    return isinstance(steps, int) and 0 < steps <= LONGEST and not inner


def _steps(node: fx.Node) -> Any:
    """The common length of what is walked along."""
    walked: Any = node.args[2]
    return walked[0].meta["val"].shape[0] if walked else 0


def _unroll(graph: fx.Graph, node: fx.Node, body: fx.GraphModule) -> None:
    """(carried, x[t], extra) → (carried, y[t]) for each t; y is stacked."""
    parts: Any = node.args[1:4]
    init, walked, extra = (_listed(part) for part in parts)
    places = [n for n in body.graph.nodes if n.op == "placeholder"]
    carried: list[fx.Node] = init
    results: list[list[fx.Node]] = []
    with graph.inserting_before(node):
        for step in range(_steps(node)):
            rows = [
                _made(graph, _SELECT, (x, 0, step), place.meta["val"])
                for x, place in zip(walked, places[len(init) :], strict=False)
            ]
            given = dict(zip(places, [*carried, *rows, *extra], strict=True))
            found: Any = graph.graph_copy(body.graph, given)
            carried = _listed(found[: len(init)])
            results.append(_listed(found[len(init) :]))
        values = node.meta["val"][len(init) :]
        columns = [list(column) for column in zip(*results, strict=True)]
        stacked = [_made(graph, _STACK, (c,), v) for c, v in zip(columns, values, strict=True)]
    _replace(graph, node, [*carried, *stacked])


def _listed(nodes: Any) -> list[fx.Node]:
    return list(nodes)


def _made(graph: fx.Graph, target: Any, args: tuple[Any, ...], value: Any) -> fx.Node:
    node = graph.call_function(target, args)
    node.meta["val"] = value
    return node


def _replace(graph: fx.Graph, node: fx.Node, results: list[fx.Node]) -> None:
    for item in list(node.users):
        index = item.args[1]
        assert isinstance(index, int)
        item.replace_all_uses_with(results[index])
        graph.erase_node(item)
    graph.erase_node(node)
