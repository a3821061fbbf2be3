"""Names for people: calls by the module they stand in, outputs by the structure returned."""

from __future__ import annotations

import operator
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from torch import fx
from torch.utils import _pytree as pytree

from qcompile.ir.node import Node


def call_names(graph: fx.Graph) -> dict[fx.Node, str]:
    """`layer1.0.conv1` for a module's only operator, `attention.softmax` for one of many.

    What stands in no named module keeps its fx name. A name met again gets a number.
    """
    members: defaultdict[str, list[fx.Node]] = defaultdict(list)
    taken: Counter[str] = Counter()
    for node in graph.nodes:
        if node.op == "call_function" and node.target is not operator.getitem:
            members[_path(node)].append(node)
        elif node.op == "placeholder":
            taken[node.name] += 1
    names: dict[fx.Node, str] = {}
    for path, nodes in members.items():
        alone = len({node.target for node in nodes}) == 1
        for node in nodes:
            inside = f"{path}.{_operator(node)}"
            names[node] = _fresh((path if alone else inside) if path else node.name, taken)
    return names


def _fresh(name: str, taken: Counter[str]) -> str:
    candidate = name
    while taken[candidate]:
        candidate = f"{name}_{taken[name]}"
        taken[name] += 1
    taken[candidate] += 1
    return candidate


def _path(node: fx.Node) -> str:
    stack: dict[str, Any] | None = node.meta.get("nn_module_stack")
    if not stack:
        return ""
    path = str(list(stack.values())[-1][0])
    return "" if path.startswith("_empty") else path.removeprefix("L['self'].")


def _operator(node: fx.Node) -> str:
    return str(node.target).split(".")[1] if "." in str(node.target) else node.name


def name_new(result: Node | tuple[Node | None, ...], name: str) -> Node | tuple[Node | None, ...]:
    """Names every nameless node: the result `name`, what it is made of `name/softmax`."""
    done: dict[Node, Node] = {}
    count: Counter[str] = Counter()

    def inner(node: Node) -> Node:
        if node.name:
            return node
        if node not in done:
            label = _fresh(f"{name}/{node.op}", count)
            done[node] = node.with_operands(map(inner, node.operands)).replace(name=label)
        return done[node]

    def outer(node: Node, label: str) -> Node:
        if node.name or node in done:
            return inner(node)
        done[node] = node.with_operands(map(inner, node.operands)).replace(name=label)
        return done[node]

    if isinstance(result, Node):
        return outer(result, name)
    if sum(node is not None for node in result) == 1:
        return tuple(None if node is None else outer(node, name) for node in result)
    return tuple(
        None if node is None else outer(node, f"{name}_{i}") for i, node in enumerate(result)
    )


def output_names(structure: pytree.TreeSpec) -> list[str]:
    """`output` for a single value, `output_0` … for several, and a dict's keys for its values."""
    tree = pytree.tree_unflatten(range(structure.num_leaves), structure)
    paths = [path for path, _ in pytree.tree_flatten_with_path(tree)[0]]
    return [_output_name(path) for path in paths]


def _output_name(path: Sequence[Any]) -> str:
    keys = [str(_key(part)) for part in path]
    if keys and not keys[0].isdigit():
        return "_".join(keys)
    return "_".join(("output", *keys))


def _key(part: Any) -> object:
    """A dict's key, a sequence's index, a field's name."""
    for kind in ("key", "idx", "name"):
        if hasattr(part, kind):
            return getattr(part, kind)
    return part
