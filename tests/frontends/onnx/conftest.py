"""Small ONNX models, and the comparison with onnxruntime."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from qcompile.frontends.onnx import graph_of
from qcompile.ir.dims import static
from qcompile.ir.graph import Graph

Values: TypeAlias = NDArray[Any]
Build: TypeAlias = Callable[..., onnx.ModelProto]


def _value(name: str, shape: Sequence[Any] | None, code: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, code, shape)


@pytest.fixture(scope="session")
def build() -> Build:
    """`build(nodes, inputs={name: shape}, outputs=[name], weights={name: array}, opset=17)`."""

    def make(
        nodes: Sequence[onnx.NodeProto],
        *,
        inputs: Mapping[str, Sequence[Any] | None],
        outputs: Sequence[str] = ("y",),
        weights: Mapping[str, Values] | None = None,
        opset: int = 17,
        code: int = TensorProto.FLOAT,
    ) -> onnx.ModelProto:
        graph = helper.make_graph(
            list(nodes),
            "small",
            [_value(name, shape, code) for name, shape in inputs.items()],
            [onnx.ValueInfoProto(name=name) for name in outputs],
            [numpy_helper.from_array(np.asarray(a), n) for n, a in (weights or {}).items()],
        )
        opsets = [helper.make_opsetid("", opset)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)

    return make


@pytest.fixture(scope="session")
def same_as_ort() -> Callable[..., Graph]:
    """Imports, runs both sides on seeded noise and compares; gives the graph."""

    def check(model: onnx.ModelProto, *, tolerance: float = 1e-5, **shapes: Any) -> Graph:
        graph = graph_of(model, shapes=shapes)
        source = np.random.default_rng(7)
        feeds = {
            i.name: source.standard_normal(static(i.declared.shape)).astype(i.declared.elem.storage)
            for i in graph.inputs
        }
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, ["CPUExecutionProvider"]
        )
        wanted: Sequence[Any] = session.run([name for name, _ in graph.outputs], feeds)
        for got, want in zip(graph.run(*feeds.values()), wanted, strict=True):
            assert got.shape == want.shape
            assert got.dtype == want.dtype
            scale = max(float(np.abs(want).max(initial=0)), 1e-30)
            assert np.abs(got.astype(np.float64) - want).max(initial=0) <= tolerance * scale
        return graph

    return check


def pytest_configure(config: pytest.Config) -> None:
    """The package's own cases warn while they are made."""
    config.addinivalue_line("filterwarnings", "ignore::RuntimeWarning")
