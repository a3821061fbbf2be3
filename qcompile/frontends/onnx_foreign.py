"""Operators without an op: typed by ONNX shape inference, or by onnxruntime, or by one run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference

from qcompile.errors import BadModel
from qcompile.execute.foreign import (
    OLDEST_OPSET,
    OrtRunner,
    first_line,
    newest_opset,
    open_session,
)
from qcompile.frontends.onnx_call import Call
from qcompile.frontends.onnx_known import SMALL
from qcompile.frontends.onnx_tensor import CODES, ELEMENTS
from qcompile.ir.dims import Dim, Symbol, bind
from qcompile.ir.node import Node
from qcompile.ir.ops.foreign import Foreign
from qcompile.ir.ops.source import Const
from qcompile.ir.types import Array, TensorType, scalar_of

_PRIMES = (7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47)


@dataclass(frozen=True)
class Outside:
    """A foreign node's operands by name, and the operator sets it is written in."""

    names: tuple[str, ...]
    xs: tuple[Node, ...]
    opsets: tuple[tuple[str, int], ...]
    binding: Mapping[str, int]


def foreign(call: Call, outside: Outside, kind: TensorType | None = None) -> tuple[Node, ...]:
    """One node for each result, sharing the runner. `BadModel` when onnxruntime refuses it.

    `kind` is the type of the only result, if it is known already.
    """
    proto = onnx.NodeProto()
    proto.CopyFrom(call.node)
    outside = replace(outside, opsets=_oldest(proto, dict(outside.opsets)))
    if kind is not None:
        results: tuple[TensorType, ...] = (kind,)
    else:
        results = _inferred(call, proto, outside) or _executed(call, proto, outside)
    runner = OrtRunner()
    wanted = [i for i, name in enumerate(proto.output) if name]
    payload = proto.SerializeToString(deterministic=True)
    nodes = tuple(
        Foreign(
            proto.op_type,
            proto.domain,
            outside.opsets,
            payload,
            outside.xs,
            outside.names,
            tuple(proto.output),
            results,
            index,
            runner,
            name=proto.output[index],
        )
        for index in wanted
    )
    if nodes:
        runner.session(nodes[0])  # what cannot run is said now
    everything = dict(zip(wanted, nodes, strict=True))
    return tuple(everything.get(i, nodes[0]) for i in range(len(proto.output)))


def try_out(call: Call, outside: Outside) -> None:
    """Runs the operator once on zeros; `BadModel` when onnxruntime refuses."""
    proto = onnx.NodeProto()
    proto.CopyFrom(call.node)
    opsets = _oldest(proto, dict(outside.opsets))
    _executed(call, proto, replace(outside, opsets=opsets))


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs among the attributes."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def captured(node: onnx.NodeProto) -> tuple[str, ...]:
    """The names that the subgraphs read from outside, in order of first use."""
    found: dict[str, None] = {}
    for graph in subgraphs(node):
        own = {i.name for i in graph.input} | {i.name for i in graph.initializer}
        own |= {i.values.name for i in graph.sparse_initializer}
        read: list[str] = []
        for inner in graph.node:
            read += [*inner.input, *captured(inner)]
            own |= set(inner.output)
        read += [o.name for o in graph.output]
        found |= dict.fromkeys(name for name in read if name and name not in own)
    return tuple(found)


def _oldest(proto: onnx.NodeProto, opsets: dict[str, int]) -> tuple[tuple[str, int], ...]:
    """The version in which the operator last changed: onnxruntime reads more of the old ones."""
    version = opsets.get("", onnx.defs.onnx_opset_version())
    if proto.domain == "" and next(subgraphs(proto), None) is None:
        try:
            version = onnx.defs.get_schema(proto.op_type, version, "").since_version
        except onnx.defs.SchemaError:
            raise BadModel(f"{proto.op_type} is not in opset {version}") from None
    found = {"": min(max(version, OLDEST_OPSET), newest_opset())}
    if proto.domain:
        found[proto.domain] = opsets.get(proto.domain, 1)
    if next(subgraphs(proto), None) is not None:
        found = opsets | found
    return tuple(sorted(found.items()))


def _model(proto: onnx.NodeProto, outside: Outside, *, typed: bool) -> onnx.ModelProto:
    """The node alone, small constants as initializers so that shapes can follow from them."""
    inputs: list[onnx.ValueInfoProto] = []
    tensors: list[onnx.TensorProto] = []
    for name, x in zip(outside.names, outside.xs, strict=True):
        code = CODES[x.type.elem]
        shape = [d if isinstance(d, int) else d.name for d in x.type.shape]
        if typed and isinstance(x, Const) and np.prod(x.data.shape) <= SMALL and _plain(x.type):
            tensors.append(numpy_helper.from_array(np.array(x.array), name))
        inputs.append(helper.make_tensor_value_info(name, code, shape))
    outputs = [onnx.ValueInfoProto(name=name) for name in proto.output if name]
    graph = helper.make_graph([proto], "one", inputs, outputs, tensors)
    opsets = [helper.make_opsetid(domain, version) for domain, version in outside.opsets]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def _plain(kind: TensorType) -> bool:
    return kind.elem.name not in ("bf16", "f8e4m3", "f8e5m2", "i4", "u4", "i2", "u2", "f4e2m1")


def _inferred(call: Call, proto: onnx.NodeProto, outside: Outside) -> tuple[TensorType, ...] | None:
    """By ONNX's own rules; None when they do not tell element types and ranks."""
    try:
        model = _model(proto, outside, typed=True)
        done = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except Exception as error:
        if "No Op registered" in str(error) or "not registered" in str(error):
            return None
        return _executed_instead(call, proto, outside, error)
    found = {o.name: o.type for o in [*done.graph.output, *done.graph.value_info]}
    results: list[TensorType] = []
    for name in proto.output:
        if not name:
            results.append(TensorType((0,), ELEMENTS[1]))
            continue
        kind = found.get(name, onnx.TypeProto())
        if kind.WhichOneof("value") not in ("tensor_type", None):
            raise BadModel(
                f"{call}: gives a {kind.WhichOneof('value')}, only tensors are supported"
            )
        tensor = kind.tensor_type
        if tensor.elem_type and tensor.elem_type not in ELEMENTS:
            raise BadModel(f"{call}: gives elements of type number {tensor.elem_type}")
        if not tensor.elem_type or not tensor.HasField("shape"):
            return None
        dims = tuple(_dim(d, name, i) for i, d in enumerate(tensor.shape.dim))
        shape = bind(dims, outside.binding)
        results.append(TensorType(shape, ELEMENTS[tensor.elem_type]))
    return tuple(results)


def _executed_instead(
    call: Call, proto: onnx.NodeProto, outside: Outside, refusal: Exception
) -> tuple[TensorType, ...]:
    """ONNX's rules refuse some of what onnxruntime runs."""
    try:
        return _executed(call, proto, outside)
    except BadModel:
        raise BadModel(f"{call}: {first_line(refusal)}") from refusal


def _dim(dim: Any, name: str, axis: int) -> Dim:
    match dim.WhichOneof("value"):
        case "dim_value":
            return int(dim.dim_value)
        case "dim_param" if not str(dim.dim_param).startswith("unk__"):
            return Symbol(str(dim.dim_param))
        case _:
            return Symbol(f"{name}.{axis}")


def _executed(call: Call, proto: onnx.NodeProto, outside: Outside) -> tuple[TensorType, ...]:
    """By one run on zeros; each open length stands as a prime that is searched in the result."""
    primes = _primes(outside.xs)
    feeds = {name: _sample(x, primes) for name, x in zip(outside.names, outside.xs, strict=True)}
    session = open_session(_model(proto, outside, typed=False), str(call))
    try:
        found: list[Any] = session.run(None, feeds)  # pyright: ignore
    except Exception as error:
        raise BadModel(f"{call}: onnxruntime fails on it: {first_line(error)}") from error
    given = iter(found)
    return tuple(
        _observed(call, next(given), primes) if name else TensorType((0,), ELEMENTS[1])
        for name in proto.output
    )


def _primes(xs: Sequence[Node]) -> dict[Symbol, int]:
    symbols = dict.fromkeys(d for x in xs for d in x.type.shape if isinstance(d, Symbol))
    taken = {d for x in xs for d in x.type.shape if isinstance(d, int)}
    return dict(zip(symbols, (p for p in _PRIMES if p not in taken), strict=False))


def _sample(x: Node, primes: dict[Symbol, int]) -> Any:
    if isinstance(x, Const):
        return np.array(x.array)
    shape = [d if isinstance(d, int) else primes.get(d, 1) for d in x.type.shape]
    return np.zeros(shape, x.type.elem.storage)


def _observed(call: Call, value: Any, primes: dict[Symbol, int]) -> TensorType:
    if not isinstance(value, np.ndarray):
        raise BadModel(f"{call}: gives a {type(value).__name__}, only tensors are supported")
    found = cast("Array", value)  # isinstance leaves its elements unknown
    symbols = {number: symbol for symbol, number in primes.items()}
    shape: list[Dim] = [symbols[d] if d in symbols else int(d) for d in found.shape]
    return TensorType(tuple(shape), scalar_of(found.dtype))
