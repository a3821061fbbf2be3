"""A weight that several contractions use is stored once, and costs what it takes once."""

import json
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

import qcompile

TEXT = """
    <ir_version: 8, opset_import: ["" : 17]>
    shared (float[1, 4, 6, 6] x) => (float[1, 4, 6, 6] y) {
        a = Conv <pads = [1, 1, 1, 1], kernel_shape = [3, 3]> (x, w)
        b = Relu (a)
        c = Conv <pads = [1, 1, 1, 1], kernel_shape = [3, 3]> (b, v)
        d = Relu (c)
        y = Conv <pads = [1, 1, 1, 1], kernel_shape = [3, 3]> (d, w)
    }
"""
WEIGHT = 4 * 4 * 3 * 3
BIASES = 3 * 4 * 4


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    rng = np.random.default_rng(5)
    found = ir.from_onnx_text(TEXT)
    for name in ("w", "v"):
        array = rng.standard_normal((4, 4, 3, 3)).astype(np.float32) / 6
        value = ir.Value(name=name, const_value=ir.tensor(array, name=name))
        value.shape, value.dtype = ir.Shape(array.shape), ir.DataType.FLOAT
        found.graph.register_initializer(value)
        for node in found.graph:
            if node.inputs[-1] is not None and node.inputs[-1].name == name:
                node.replace_input_with(1, value)
    path = tmp_path_factory.mktemp("shared") / "shared.onnx"
    ir.save(found, path)
    return path


@pytest.fixture(scope="module")
def samples():
    rng = np.random.default_rng(6)
    return [{"x": rng.standard_normal((1, 4, 6, 6)).astype(np.float32)} for _ in range(8)]


@pytest.mark.parametrize(
    ("budget", "bits"), [(2 * WEIGHT, None), (WEIGHT, None), (2 * WEIGHT // 4, 2)]
)
def test_the_size_of_the_plan_is_that_of_the_artifact(model, samples, tmp_path, budget, bits):
    """Two weights of 144 elements for three convolutions, and their biases."""
    limit = float(budget + BIASES)
    found = qcompile.compile(
        model, target="reference", calib=samples, bits="auto", budget={"size": limit},
        output=tmp_path / "it",
    )  # fmt: skip
    plan = json.loads((found.folder / "plan.json").read_text())
    used = plan["solver"]["limits"]["size"]["used"]
    assert found.summary["size"]["weight_bytes"] == used <= limit
    first, _, last = (choice["widths"] for choice in plan["choices"])
    assert first == last
    stored = json.loads(next(found.folder.rglob("blobs.json")).read_text())
    weights = [entry for entry in stored.values() if entry["shape"] == [4, 4, 3, 3]]
    assert len(weights) == 2
    packed = sum(WEIGHT * entry.get("bits", 8) // 8 for entry in weights)
    assert packed == used - BIASES
    assert bits is None or {entry["bits"] for entry in weights} == {bits}
