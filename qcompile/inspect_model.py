"""inspect: what a model is made of, and what could become integers. Weights are not loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from qcompile.coverage import macs
from qcompile.ir.dims import is_static, show
from qcompile.ir.graph import Graph
from qcompile.ir.node import Node
from qcompile.ir.ops.foreign import Foreign
from qcompile.ir.ops.linear import Conv, ConvTranspose, MatMul
from qcompile.ir.ops.norm import BatchNorm
from qcompile.ir.ops.quant import Dequantize, FakeQuant, Quantize
from qcompile.ir.ops.source import Const, Input
from qcompile.ir.types import TensorType
from qcompile.passes.roles import Role, role
from qcompile.read import load
from qcompile.targets.base import Target

YES, FOLDS, PLAIN, CONVERTS, NO = "yes", "folds away", "integers already", "border", "no"


@dataclass
class OpClass:
    """All operations of one kind that have, or have not, an integer form."""

    op: str
    form: str
    count: int = 0
    parameters: int = 0
    macs: int = 0
    places: list[str] = field(default_factory=list[str])


def inspect_model(model: object, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Operations by kind, sizes, and per target how much could be integer: plain JSON.

    The answer is given per operation, before any pass; what a compilation reaches may be more
    (patterns are fused) or less (sums that could pass 32 bits stay float).
    """
    graph = load(model, shapes=shapes)
    classes = op_classes(graph)
    weights = [n for n in graph.nodes if isinstance(n, Const) and n.type.is_float]
    distinct = {id(n.data): n.data for n in weights}.values()
    static = all(is_static(node.type.shape) for node in graph.nodes)
    return {
        "name": graph.name,
        "inputs": [_port(node.name, node.type) for node in graph.inputs],
        "outputs": [_port(name, node.type) for name, node in graph.outputs],
        "static": static,
        "operations": sum(c.count for c in classes),
        "parameters": sum(n.data.size for n in weights),
        "parameter_bytes": sum(data.nbytes for data in distinct),
        "macs": sum(c.macs for c in classes),
        "ops": [
            {"op": c.op, "count": c.count, "parameters": c.parameters, "macs": c.macs,
             "form": c.form, "places": c.places}
            for c in classes
        ],
        "targets": list(_targets(classes)),
        "remarks": list(_remarks(graph, classes)),
    }  # fmt: skip


def op_classes(graph: Graph) -> list[OpClass]:
    """By name, those with most multiply-accumulates first."""
    found: dict[tuple[str, str], OpClass] = {}
    counted: set[Node] = set()
    fixed: set[Node] = set()  # known before the model runs: they fold into their readers' weights
    for node in graph.nodes:
        if isinstance(node, Const) or (node.operands and fixed.issuperset(node.operands)):
            fixed.add(node)
            continue
        if isinstance(node, Input):
            continue
        op = node.title if isinstance(node, Foreign) else node.op
        key = op, form(node)
        one = found.setdefault(key, OpClass(*key))
        one.count += 1
        one.macs += macs(node)
        if len(one.places) < 8:
            one.places.append(node.name or node.op)
        for weight in _weights(node, fixed):
            if weight not in counted:
                counted.add(weight)
                one.parameters += weight.data.size
    return sorted(found.values(), key=lambda c: (-c.macs, -c.count, c.op, c.form))


def _weights(node: Node, fixed: set[Node]) -> Iterator[Const]:
    """The float constants that an operation reads, also through others that are folded."""
    for operand in node.operands:
        if isinstance(operand, Const):
            if operand.type.is_float:
                yield operand
        elif operand in fixed:
            yield from _weights(operand, fixed)


def form(node: Node) -> str:
    """Whether the operation has an integer form."""
    if isinstance(node, Quantize | Dequantize | FakeQuant):
        return CONVERTS
    if isinstance(node, BatchNorm):
        return FOLDS if _folds(node) else YES
    if not node.type.is_float and not any(o.type.is_float for o in node.operands):
        return PLAIN
    return NO if role(node) is Role.FLOAT else YES


def _folds(node: BatchNorm) -> bool:
    return isinstance(node.x, Conv | ConvTranspose | MatMul)


def _targets(classes: list[OpClass]) -> Iterator[dict[str, Any]]:
    """An operation counts where it has an integer form that the target does not call absent."""
    from qcompile.targets import target_names

    for name in target_names():
        place = target_or_why(name)
        if isinstance(place, str):
            yield {"name": name, "ops_integer": 0, "macs_integer": 0, "remark": place}
            continue
        taken = [c for c in classes if c.form != NO and place.instructions.get(c.op) != "absent"]
        yield {
            "name": name,
            "ops_integer": sum(c.count for c in taken),
            "macs_integer": sum(c.macs for c in taken),
            "remark": _remark(place),
        }


def _remark(place: Target) -> str:
    if place.emulates:
        return "only emulated, for checking"
    return "" if place.exact else "not bit-exact"


def target_or_why(name: str) -> Target | str:
    """The target, or why it cannot be used here: a listing goes on without it."""
    from qcompile.targets import target

    try:
        return target(name)
    except Exception as error:  # targets of other packages may fail in any way
        return f"cannot be used here: {type(error).__name__}: {error}"


def _remarks(graph: Graph, classes: list[OpClass]) -> Iterator[str]:
    for node in graph.inputs:
        if not is_static(node.type.shape):
            yield (
                f"input {node.name} has open lengths [{show(node.type.shape)}]: compile needs "
                f"--input-shape {node.name}=..."
            )
    foreign = [c.op for c in classes if c.form == NO]
    if foreign:
        yield f"without an integer form, these stay in float: {', '.join(dict.fromkeys(foreign))}"


def _port(name: str, kind: TensorType) -> dict[str, Any]:
    lengths = [d if isinstance(d, int) else str(d) for d in kind.shape]
    return {"name": name, "dtype": str(kind.elem), "shape": lengths}
