"""ONNX's own operator cases, imported and run: every case of every claimed operator passes.

`native_ops.txt` publishes the claim; `foreign_cases.txt` lists the cases of claimed operators that
onnxruntime evaluates all the same. Operands that stand for shapes, axes, scales or bounds are
graph inputs in these cases; they are bound as constants first, as they are in real models, because
the IR's attributes are static. (Left open they become foreign nodes: `test_foreign.py`.)
"""

import re
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from qcompile.frontends.onnx import graph_of
from qcompile.ir.ops.foreign import Foreign

HERE = Path(__file__).parent
NATIVE = (HERE / "native_ops.txt").read_text().split()
FOREIGN = set((HERE / "foreign_cases.txt").read_text().split())
LEFT_OUT = {
    "element types that the IR lacks": r"FNUZ|string|_opt$|_sequence",
    "casts to formats that only weights have": r"_to_(U?INT2|FLOAT4E2M1|FLOAT8E8M0)",
    "results in a format that only weights have": r"^test_quantizelinear_float4",
    "drops at random": r"training_dropout",
    "onnxruntime and PyTorch differ from the text of the standard": r"downsample_scales_.*_corners",
    "opset 1": r"^test_not_",
}
ALL_BOUND = {"Range", "ConstantOfShape"}


@cache
def _cases() -> dict[str, list[Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        found: dict[str, list[Any]] = {}
        cases: list[Any] = collect_testcases(None)
        for case in cases:
            ops = {node.op_type for node in case.model.graph.node}
            if len(ops) == 1 and not any(re.search(r, case.name) for r in LEFT_OUT.values()):
                found.setdefault(next(iter(ops)), []).append(case)
        return found


def _array(value: Any) -> NDArray[Any]:
    return (
        numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)
    )


def _carried(array: NDArray[Any]) -> NDArray[Any]:
    """Narrow integers travel in bytes."""
    kinds = {"int4": np.int8, "int2": np.int8, "uint4": np.uint8, "uint2": np.uint8}
    return array.astype(kinds.get(array.dtype.name, array.dtype))


def _bound(model: onnx.ModelProto, values: dict[str, NDArray[Any]]) -> onnx.ModelProto:
    result = onnx.ModelProto()
    result.CopyFrom(model)
    first = 0 if model.graph.node[0].op_type in ALL_BOUND else 1
    for value in list(model.graph.input)[first:]:
        if values[value.name].size <= 64:
            array = np.asarray(values[value.name], order="C")
            result.graph.initializer.append(numpy_helper.from_array(array, value.name))
    return result


def _runs(case: Any) -> Iterator[tuple[str, bool]]:
    """Each data set, compared; yields whether a foreign node took part."""
    for inputs, outputs in case.data_sets:
        names = [value.name for value in case.model.graph.input]
        values = {name: _array(v) for name, v in zip(names, inputs, strict=True)}
        model = _bound(case.model, values)
        stored = {tensor.name for tensor in model.graph.initializer}
        shapes = {n: v.shape for n, v in values.items() if n not in stored}
        graph = graph_of(model, shapes=shapes)
        found = graph.run(*(_carried(values[node.name]) for node in graph.inputs))
        for got, given in zip(found, outputs, strict=True):
            want = _carried(_array(given))
            assert (got.dtype, got.shape) == (want.dtype, want.shape), case.name
            np.testing.assert_allclose(
                got.astype(np.float64) if got.dtype.kind not in "iub" else got,
                want.astype(np.float64) if got.dtype.kind not in "iub" else want,
                rtol=case.rtol, atol=case.atol, err_msg=case.name,
            )  # fmt: skip
        yield case.name, any(isinstance(node, Foreign) for node in graph.nodes)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("op", NATIVE)
def test_every_case_passes(op: str) -> None:
    foreign = {name for case in _cases()[op] for name, is_foreign in _runs(case) if is_foreign}
    assert foreign <= FOREIGN


def test_claims_are_of_operators_with_cases() -> None:
    assert set(NATIVE) <= _cases().keys()
