"""Statistics for the batch normalizations of an ONNX graph, measured on one picture."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Value = NDArray[Any]


def settle_norms(
    model: onnx.ModelProto, weights: Mapping[str, NDArray[np.float32]], picture: Value
) -> dict[str, NDArray[np.float32]]:
    """Mean and variance, by name, that make every normalization see mean 0 and variance 1.

    Runs the graph node by node, as what a normalization sees depends on those before it.
    """
    stored = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    known: dict[str, Value] = stored | dict(weights)
    (free,) = (i.name for i in model.graph.input if i.name not in known)
    known[free] = picture
    settled: dict[str, NDArray[np.float32]] = {}
    for node in model.graph.node:
        if node.op_type == "ConstantOfShape":
            continue
        if node.op_type == "BatchNormalization":
            x = known[node.input[0]]
            seen = {node.input[3]: x.mean((0, 2, 3)), node.input[4]: x.var((0, 2, 3))}
            settled |= seen
            known |= seen
        known[node.output[0]] = _run(node, [known[name] for name in node.input], model)
    return settled


def _run(node: onnx.NodeProto, operands: list[Value], model: onnx.ModelProto) -> Value:
    """The first result of one node, as a model of its own."""
    feeds = dict(zip(node.input, operands, strict=True))
    inputs = [
        helper.make_tensor_value_info(k, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
        for k, v in feeds.items()
    ]
    outputs = [helper.make_empty_tensor_value_info(node.output[0])]
    alone = helper.make_model(
        helper.make_graph([node], "alone", inputs, outputs),
        opset_imports=model.opset_import,
        ir_version=8,
    )
    session = onnxruntime.InferenceSession(alone.SerializeToString())
    return np.asarray(session.run(None, feeds)[0])
