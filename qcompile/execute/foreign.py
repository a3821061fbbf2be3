"""Foreign operators run in onnxruntime, each as a model of one node."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import onnx
import onnxruntime  # pyright: ignore[reportMissingTypeStubs]
from onnx import TensorProto, helper, numpy_helper

from qcompile.errors import BadModel
from qcompile.ir.node import Node
from qcompile.ir.ops.foreign import Foreign
from qcompile.ir.ops.source import Const
from qcompile.ir.types import Array, Scalar

OLDEST_OPSET = 7  # what onnxruntime still guarantees
_IR_VERSION = 10
_SMALL = 4096  # bytes

_CODES: dict[str, int] = {
    "f64": TensorProto.DOUBLE,
    "f32": TensorProto.FLOAT,
    "f16": TensorProto.FLOAT16,
    "bf16": TensorProto.BFLOAT16,
    "f8e4m3": TensorProto.FLOAT8E4M3FN,
    "f8e5m2": TensorProto.FLOAT8E5M2,
    "bool": TensorProto.BOOL,
    "i4": TensorProto.INT4,
    "u4": TensorProto.UINT4,
    "i8": TensorProto.INT8,
    "i16": TensorProto.INT16,
    "i32": TensorProto.INT32,
    "i64": TensorProto.INT64,
    "u8": TensorProto.UINT8,
    "u16": TensorProto.UINT16,
    "u32": TensorProto.UINT32,
    "u64": TensorProto.UINT64,
}
# Formats that onnxruntime does not take from numpy travel in a wider one, which holds them exactly.
_CARRIERS = {"bf16": "f32", "f8e4m3": "f32", "f8e5m2": "f32", "i4": "i8", "u4": "u8"}


class OrtRunner:
    """Runs one foreign operator; keeps its sessions, so share it between the node's results."""

    def __init__(self) -> None:
        self._sessions: dict[tuple[str, ...], onnxruntime.InferenceSession] = {}

    def __call__(self, node: Foreign, operands: tuple[Array, ...]) -> tuple[Array, ...]:
        """All results of the operator; one that it does not give is an empty array."""
        session = self.session(node)
        feeds = {
            f"in.{i}": np.asarray(x, order="C").astype(_carrier(o.type.elem).storage, copy=False)
            for i, (x, o) in enumerate(zip(operands, node.xs, strict=True))
            if not _is_small(o)
        }
        try:
            found: list[Any] = session.run(None, feeds)  # pyright: ignore
        except Exception as error:
            raise BadModel(f"{node.title} {node.name}: {first_line(error)}") from error
        given = iter(found)
        return tuple(
            np.asarray(next(given)).astype(t.elem.storage, copy=False)
            if name
            else np.empty(0, t.elem.storage)
            for name, t in zip(node.result_names, node.results, strict=True)
        )

    def session(self, node: Foreign) -> onnxruntime.InferenceSession:
        """The session of this operator on operands of these types and small constants."""
        key = tuple(
            x.data.digest if isinstance(x, Const) and _is_small(x) else str(x.type) for x in node.xs
        )
        if key not in self._sessions:
            self._sessions[key] = _session(node)
        return self._sessions[key]


def _session(node: Foreign) -> onnxruntime.InferenceSession:
    """With the lengths that are known; some operators (If) are taken only without."""
    try:
        return open_session(one_node_model(node), node.title)
    except BadModel:
        return open_session(one_node_model(node, lengths=False), node.title)


def _is_small(node: Node) -> bool:
    """Small constants stand in the model: some operators want to know them beforehand."""
    return isinstance(node, Const) and node.data.nbytes <= _SMALL


def one_node_model(node: Foreign, *, lengths: bool = True) -> onnx.ModelProto:
    """The operator alone, between casts from and to the formats that numpy can carry."""
    inputs: list[onnx.ValueInfoProto] = []
    tensors: list[onnx.TensorProto] = []
    body: list[onnx.NodeProto] = []
    for i, (name, x) in enumerate(zip(node.names, node.xs, strict=True)):
        carrier = _carrier(x.type.elem)
        if isinstance(x, Const) and _is_small(x):
            plain = carrier == x.type.elem
            values = np.array(x.array, carrier.storage)
            tensors.append(numpy_helper.from_array(values, name if plain else f"in.{i}"))
            if plain:
                continue
        else:
            shape = [d if lengths and isinstance(d, int) else None for d in x.type.shape]
            inputs.append(helper.make_tensor_value_info(f"in.{i}", _code(carrier), shape))
        body.append(_passed(f"in.{i}", name, x.type.elem))
    body.append(onnx.NodeProto.FromString(node.payload))
    outputs: list[onnx.ValueInfoProto] = []
    for i, (name, kind) in enumerate(zip(node.result_names, node.results, strict=True)):
        if name:
            carrier = _carrier(kind.elem)
            outputs.append(helper.make_tensor_value_info(f"out.{i}", _code(carrier), None))
            body.append(_passed(name, f"out.{i}", carrier, of=kind.elem))
    graph = helper.make_graph(body, node.op_type, inputs, outputs, tensors)
    opsets = [helper.make_opsetid(domain, version) for domain, version in node.opsets]
    return helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)


def _passed(source: str, target: str, elem: Scalar, *, of: Scalar | None = None) -> onnx.NodeProto:
    if (_carrier(elem) if of is None else of) == elem:
        return helper.make_node("Identity", [source], [target])
    return helper.make_node("Cast", [source], [target], to=_code(elem))


def _carrier(elem: Scalar) -> Scalar:
    return Scalar(_CARRIERS.get(elem.name, elem.name))


def _code(elem: Scalar) -> int:
    if elem.name not in _CODES:
        raise BadModel(f"onnxruntime has no element type {elem}")
    return _CODES[elem.name]


def open_session(model: onnx.ModelProto, title: str) -> onnxruntime.InferenceSession:
    """A single-threaded session on the CPU; `BadModel` when onnxruntime refuses the model."""
    options: Any = onnxruntime.SessionOptions()  # pyright: ignore
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise BadModel(f"{title}: onnxruntime does not take it: {first_line(error)}") from error


@lru_cache(maxsize=1)
def newest_opset() -> int:
    """The newest standard operator set that this onnxruntime runs.

    One release (1.32) reads a set of which it lacks kernels: QuantizeLinear's are the ones to ask.
    """
    for version in range(onnx.defs.onnx_opset_version(), OLDEST_OPSET, -1):
        if _reads(version):
            return version
    return OLDEST_OPSET


def _reads(version: int) -> bool:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    scale = helper.make_tensor("s", TensorProto.FLOAT, [], [1.0])
    result = helper.make_tensor_value_info("y", TensorProto.UINT8, [1])
    body = [helper.make_node("QuantizeLinear", ["x", "s"], ["y"])]
    graph = helper.make_graph(body, "probe", [value], [result], [scale])
    opsets = [helper.make_opsetid("", version)]
    try:
        open_session(
            helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION), "probe"
        )
    except BadModel:
        return False
    return True


def first_line(error: BaseException) -> str:
    """The first line of an error's message, without the tail that repeats the model."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]
