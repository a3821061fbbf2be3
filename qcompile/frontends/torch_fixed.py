"""What no input can change: stored tensors, and all that torch computes from them alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.fx.node import map_arg

from qcompile.errors import BadModel
from qcompile.frontends.aten_call import Refusal
from qcompile.ir.dims import Symbol


def stored(program: ExportedProgram, target: str) -> Tensor:
    """A parameter, buffer or constant of the program."""
    tensor = program.state_dict.get(target, program.constants.get(target))
    if not isinstance(tensor, Tensor):
        raise BadModel(f"{target} is a {type(tensor).__name__}, wants a tensor")
    return tensor


def fixed_nodes(program: ExportedProgram) -> set[fx.Node]:
    """The nodes that depend on no input and on no chance, but perhaps on lengths."""
    signature = program.graph_signature
    tensors = {*signature.parameters, *signature.buffers, *signature.lifted_tensor_constants}
    kept = {spec.arg.name for spec in signature.input_specs if spec.target in tensors}
    fixed: set[fx.Node] = set()
    for node in program.graph.nodes:
        if node.op == "placeholder":
            known = node.name in kept
        else:
            known = node.op == "call_function" and (_is_length(node) or _is_pure(node, fixed))
        if known:
            fixed.add(node)
    return fixed


def _is_length(node: fx.Node) -> bool:
    return isinstance(node.meta.get("val"), torch.SymInt | int)


def _is_pure(node: fx.Node, fixed: set[fx.Node]) -> bool:
    tags = getattr(node.target, "tags", ())
    by_chance = torch.Tag.nondeterministic_seeded in tags
    return not by_chance and all(source in fixed for source in node.all_input_nodes)


def fixed_value(
    node: fx.Node, program: ExportedProgram, values: Mapping[fx.Node, Any], done: dict[fx.Node, Any]
) -> Any:
    """The value of a fixed node. `values` holds the lengths, `done` what was worked out before.

    `Refusal` when it depends on a length that is open.
    """
    if node not in done:
        done[node] = _worked_out(node, program, values, done)
    return done[node]


def _worked_out(
    node: fx.Node, program: ExportedProgram, values: Mapping[fx.Node, Any], done: dict[fx.Node, Any]
) -> Any:
    if node.op == "placeholder":
        spec = program.graph_signature.input_specs[_position(node)]
        return stored(program, str(spec.target))
    if _is_length(node):
        if isinstance(values[node], Symbol):
            raise Refusal(f"depends on the open length {values[node]}: bind it with --input-shape")
        return values[node]
    args, kwargs = map_arg(
        (node.args, node.kwargs), lambda n: fixed_value(n, program, values, done)
    )
    function: Any = node.target
    with torch.no_grad():
        return function(*args, **{**kwargs, **_on_processor(kwargs)})


def _on_processor(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {"device": torch.device("cpu")} if "device" in kwargs else {}


def _position(node: fx.Node) -> int:
    placeholders = (n for n in node.graph.nodes if n.op == "placeholder")
    return next(i for i, n in enumerate(placeholders) if n is node)
