"""An ONNX model with an operator in its stream that the compiler knows nothing of."""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

WORDS, LENGTH, WIDTH, INNER = 128, 8, 32, 64


def write_odd_model(folder: Path, operator: str, domain: str = "") -> tuple[Path, Path]:
    """(model, samples): a stream of two branches, the first through a pair of products with
    outliers between them, and the operator on the stream between the branches."""
    rng = np.random.default_rng(0)
    shapes = {
        "table": (WORDS, WIDTH), "down": (WIDTH, INNER), "up": (INNER, WIDTH),
        "across": (WIDTH, WIDTH), "last": (WIDTH, WIDTH),
    }  # fmt: skip
    weights = {name: rng.normal(size=s) / np.sqrt(s[0]) for name, s in shapes.items()}
    weights["down"][:, 5] *= 40
    weights["up"][5] /= 40
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["x0"], name="embed"),
        helper.make_node("MatMul", ["x0", "down"], ["inner"], name="inner"),
        helper.make_node("MatMul", ["inner", "up"], ["b1"], name="branch"),
        helper.make_node("Add", ["x0", "b1"], ["x1"], name="stream"),
        helper.make_node(operator, ["x1"], ["x2"], name="odd", domain=domain),
        helper.make_node("MatMul", ["x2", "across"], ["b2"], name="second"),
        helper.make_node("Add", ["x2", "b2"], ["x3"], name="sum"),
        helper.make_node("MatMul", ["x3", "last"], ["y"], name="head"),
    ]
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, [1, LENGTH])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, LENGTH, WIDTH])
    constants = [numpy_helper.from_array(w.astype(np.float32), n) for n, w in weights.items()]
    graph = helper.make_graph(nodes, "odd", [ids], [y], constants)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    model, samples = folder / "odd.onnx", folder / "odd.npz"
    made = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    model.write_bytes(made.SerializeToString())
    np.savez(samples, ids=rng.integers(0, WORDS, (16, LENGTH)))
    return model, samples
