"""The inputs of a graph, with open lengths bound where the caller says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx

from qcompile.errors import BadModel, UsageError
from qcompile.frontends.onnx_tensor import elem_of
from qcompile.ir.dims import Dim, Shape, Symbol, bind
from qcompile.ir.ops.source import Input
from qcompile.ir.types import TensorType

Shapes = Mapping[str, tuple[int, ...]]


def graph_inputs(
    values: Sequence[onnx.ValueInfoProto], shapes: Shapes
) -> tuple[tuple[Input, ...], dict[str, int]]:
    """One node for each, and the lengths of symbols: bound at one input, bound at all."""
    unknown = sorted(set(shapes) - {v.name for v in values})
    if unknown:
        names = ", ".join(v.name for v in values)
        raise UsageError(f"no input named {unknown[0]!r} to give a shape: the inputs are {names}")
    declared = {v.name: _declared(v, shapes) for v in values}
    binding: dict[str, int] = {}
    for name, shape in shapes.items():
        _bind(name, declared[name].shape, shape, binding)
    return tuple(_input(v.name, declared[v.name], binding, shapes) for v in values), binding


def _declared(value: onnx.ValueInfoProto, shapes: Shapes) -> TensorType:
    where = f"input {value.name!r}"
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        raise BadModel(f"{where} is a {kind or 'value without a type'}, only tensors are supported")
    tensor = value.type.tensor_type
    elem = elem_of(tensor.elem_type, where=where)
    if not tensor.HasField("shape"):
        if value.name not in shapes:
            raise BadModel(f"{where} has no shape: bind it with --input-shape {value.name}=...")
        return TensorType(shapes[value.name], elem)
    return TensorType(tuple(_dim(d, value.name, i) for i, d in enumerate(tensor.shape.dim)), elem)


def _dim(dim: onnx.TensorShapeProto.Dimension, name: str, axis: int) -> Dim:
    if dim.HasField("dim_value"):
        return dim.dim_value
    return Symbol(dim.dim_param or f"{name}.{axis}")


def _bind(name: str, declared: Shape, given: tuple[int, ...], binding: dict[str, int]) -> None:
    if len(given) != len(declared):
        raise UsageError(f"shape {list(given)} for input {name!r} of rank {len(declared)}")
    for want, got in zip(declared, given, strict=True):
        if isinstance(want, Symbol):
            if binding.setdefault(want.name, got) != got:
                raise UsageError(f"dimension {want} is bound to {binding[want.name]} and to {got}")
        elif want not in (got, 0, -1):
            raise UsageError(f"shape {list(given)} for input {name!r}, which has {want} for {got}")


def _input(name: str, kind: TensorType, binding: Mapping[str, int], shapes: Shapes) -> Input:
    shape = shapes.get(name, bind(kind.shape, binding))
    if any(isinstance(d, int) and d < (0 if name in shapes else 1) for d in shape):
        raise BadModel(
            f"input {name!r} has a length below 1 in {[str(d) for d in shape]}: "
            f"bind it with --input-shape {name}=..."
        )
    return Input(TensorType(shape, kind.elem), name=name)
