"""A model of many gigabytes, to see what a compiler holds in memory.

relu(x·Wᵀ + b) over and over: `x` f32[1, w] → `logits` f32[1, w]. Weights lie in one file beside
the model, as ONNX external data.
"""

import math
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDEST: Final = 8192  # one weight is then 256 MiB
_CHUNK: Final = 1 << 24  # values drawn at a time: 64 MiB


def large_model(path: Path, gigabytes: float, seed: int = 0) -> None:
    """Writes `path` and `path`.data of at least `gigabytes` · 2³⁰ bytes, holding 64 MiB at a time.

    All weights have one shape, [w, w] for a power of two w, and there are four or more of them.
    """
    size = gigabytes * 2**30
    width = min(WIDEST, 2 ** max(5, math.floor(math.log2(size / 16) / 2)))
    layers = max(4, math.ceil(size / (4 * width**2)))
    source = np.random.default_rng(seed)
    data = path.with_name(path.name + ".data")
    with data.open("wb") as file:
        weights = [_write(file, f"w{i}", width, source) for i in range(layers)]
    biases = [
        numpy_helper.from_array(source.standard_normal(width, np.float32), f"b{i}")
        for i in range(layers)
    ]
    onnx.save(_chain(width, weights, biases), path)


def _write(file: BinaryIO, name: str, width: int, source: np.random.Generator) -> TensorProto:
    """Appends He's normal for [width, width] to `file` and says where it lies."""
    offset, deviation = file.tell(), np.float32(math.sqrt(2 / width))
    left = width * width
    while left > 0:
        chunk = source.standard_normal(min(left, _CHUNK), np.float32)
        file.write((chunk * deviation).astype("<f4").data)
        left -= len(chunk)
    tensor = TensorProto(
        name=name,
        data_type=TensorProto.FLOAT,
        dims=(width, width),
        data_location=TensorProto.EXTERNAL,
    )
    place = {"location": Path(file.name).name, "offset": offset, "length": 4 * width**2}
    for key, value in place.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def _chain(width: int, weights: list[TensorProto], biases: list[TensorProto]) -> onnx.ModelProto:
    names = ["x", *(f"h{i}" for i in range(1, len(weights))), "logits"]
    nodes: list[onnx.NodeProto] = []
    for i, (x, y) in enumerate(pairwise(names)):
        nodes += [
            helper.make_node("Gemm", [x, f"w{i}", f"b{i}"], [f"s{i}"], f"gemm{i}", transB=1),
            helper.make_node("Relu", [f"s{i}"], [y], f"relu{i}"),
        ]
    vector = [1, width]
    graph = helper.make_graph(
        nodes,
        "large",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, vector)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, vector)],
        [*weights, *biases],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
