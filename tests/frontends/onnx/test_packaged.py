"""The test models inside the onnx package: opset 6 and up, inputs and outputs included."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from qcompile.errors import QcompileError
from qcompile.frontends.onnx import read_onnx
from qcompile.ir.ops.foreign import Foreign

DATA = Path(onnx.__file__).parent / "backend" / "test" / "data"
TORCH = sorted([*(DATA / "pytorch-converted").iterdir(), *(DATA / "pytorch-operator").iterdir()])
SIMPLE = sorted((DATA / "simple").iterdir())
NO_TENSORS = ("gradient", "sequence", "strnorm")  # strings, sequences, training


def _arrays(folder: Path, kind: str) -> list[NDArray[Any]]:
    count = len(list((folder / "test_data_set_0").glob(f"{kind}_*.pb")))
    paths = [folder / "test_data_set_0" / f"{kind}_{i}.pb" for i in range(count)]
    return [numpy_helper.to_array(onnx.TensorProto.FromString(p.read_bytes())) for p in paths]


def _check(folder: Path, *, native: bool) -> None:
    inputs = _arrays(folder, "input")
    graph = read_onnx(folder / "model.onnx")
    assert not (native and any(isinstance(node, Foreign) for node in graph.nodes))
    for got, want in zip(graph.run(*inputs), _arrays(folder, "output"), strict=True):
        assert (got.dtype, got.shape) == (want.dtype, want.shape)
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("folder", TORCH, ids=lambda p: p.name)
def test_torch_models_are_native_and_equal(folder: Path) -> None:
    _check(folder, native=True)


@pytest.mark.parametrize(
    "folder", [p for p in SIMPLE if not any(w in p.name for w in NO_TENSORS)], ids=lambda p: p.name
)
def test_simple_models_are_equal(folder: Path) -> None:
    _check(folder, native=False)


@pytest.mark.parametrize(
    "folder", [p for p in SIMPLE if any(w in p.name for w in NO_TENSORS)], ids=lambda p: p.name
)
def test_what_is_no_tensor_is_refused(folder: Path) -> None:
    with pytest.raises(QcompileError, match=r"supported|onnxruntime"):
        read_onnx(folder / "model.onnx")
