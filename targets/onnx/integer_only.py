"""Proof that a written model computes in integers between quantize and dequantize.

Only element types are looked at, as ONNX's own inference gives them, not the operators' names.
"""

from __future__ import annotations

from collections.abc import Iterable

from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, shape_inference

_INTEGERS = frozenset(
    {
        TensorProto.INT4, TensorProto.UINT4, TensorProto.INT8, TensorProto.UINT8,
        TensorProto.INT16, TensorProto.UINT16, TensorProto.INT32, TensorProto.UINT32,
        TensorProto.INT64, TensorProto.UINT64,
    }
)  # fmt: skip
_NEITHER = frozenset({TensorProto.BOOL, TensorProto.STRING})


def floats_between(model: ModelProto) -> list[str]:
    """The operators whose result is float, after an integer value and before another one.

    Empty for an integer program; otherwise the float islands, operator by operator.
    """
    kinds = _kinds(model)
    constants = {t.name for t in model.graph.initializer}
    after = _reached(model.graph.node, _integers(kinds) - constants)
    before = _reaching(reversed(list(model.graph.node)), _integers(kinds) - constants)
    return [
        f"{node.op_type} {node.name}"
        for node in model.graph.node
        for name in node.output
        if _is_float(kinds, name) and name in after and name in before
    ]


def _kinds(model: ModelProto) -> dict[str, int]:
    """Element type by value name."""
    inferred = shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    graph = inferred.graph
    values: list[ValueInfoProto] = [*graph.input, *graph.value_info, *graph.output]
    kinds = {v.name: v.type.tensor_type.elem_type for v in values}
    kinds.update({t.name: t.data_type for t in graph.initializer})
    missing = [name for node in graph.node for name in node.output if name and name not in kinds]
    if missing:
        raise AssertionError(f"no element type is known for {missing[:5]}")
    return kinds


def _integers(kinds: dict[str, int]) -> set[str]:
    return {name for name, kind in kinds.items() if kind in _INTEGERS}


def _is_float(kinds: dict[str, int], name: str) -> bool:
    return bool(name) and kinds[name] not in _INTEGERS and kinds[name] not in _NEITHER


def _reached(nodes: Iterable[NodeProto], start: set[str]) -> set[str]:
    """Everything computed from `start`, itself left in."""
    found = set(start)
    for node in nodes:
        if any(name in found for name in node.input):
            found.update(node.output)
    return found


def _reaching(nodes: Iterable[NodeProto], end: set[str]) -> set[str]:
    """Everything that `end` is computed from, itself left in."""
    found = set(end)
    for node in nodes:
        if any(name in found for name in node.output):
            found.update(node.input)
    return found
