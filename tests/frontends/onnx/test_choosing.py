"""The greatest few and writing to places, against onnxruntime."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import NodeProto, helper

from qcompile.frontends.onnx import graph_of
from qcompile.ir.graph import Graph
from qcompile.ir.ops.foreign import Foreign

Same = Callable[..., Graph]
node = helper.make_node
SOURCE = np.random.default_rng(5)
WEIGHTS: dict[str, Any] = {
    "two": np.array([2]), "many": np.array([17]), "at": np.array([[2, 0], [-1, 1]]),
    "rows": np.array([[1], [2]]), "apart": np.array([[0], [2]]), "pairs": np.array([[0, 1]]),
    "new": SOURCE.standard_normal((2, 2)).astype(np.float32), "one": np.ones(1, np.float32),
    "grid": np.moveaxis(np.add(np.indices((4, 2)), [[[0]], [[3]]]), 0, -1),
    "all": np.ones((4, 2), "f4"),
    "row": SOURCE.standard_normal((2, 20)).astype(np.float32),
}  # fmt: skip


def foreigners(graph: Graph) -> list[str]:
    return [n.op_type for n in graph.nodes if isinstance(n, Foreign)]


def model(build: Any, proto: NodeProto, shape: tuple[int, ...]) -> Any:
    weights = {name: WEIGHTS[name] for name in proto.input if name in WEIGHTS}
    outputs = [name for name in proto.output if name]
    return build([proto], inputs={"x": shape}, outputs=outputs, weights=weights, opset=18)


NATIVE: list[tuple[NodeProto, tuple[int, ...]]] = [
    (node("TopK", ["x", "two"], ["y", "i"]), (3, 20)),
    (node("TopK", ["x", "two"], ["y", "i"], axis=0, largest=0), (3, 20)),
    (node("ScatterElements", ["x", "at", "new"], ["y"], axis=1), (2, 20)),
    (node("ScatterElements", ["x", "at", "new"], ["y"], axis=0), (20, 2)),
    (node("ScatterND", ["x", "rows", "row"], ["y"]), (4, 20)),
    (node("ScatterND", ["x", "rows", "row"], ["y"]), (3, 20)),
    (node("ScatterND", ["x", "grid", "all"], ["y"]), (4, 20)),
]
WHOLE: list[tuple[NodeProto, tuple[int, ...]]] = [
    (node("TopK", ["x", "many"], ["y", "i"]), (3, 20)),
    (node("ScatterElements", ["x", "at", "new"], ["y"], axis=1, reduction="add"), (2, 20)),
    (node("ScatterElements", ["x", "at", "new"], ["y"], axis=1), (3, 20)),
    (node("ScatterND", ["x", "rows", "row"], ["y"], reduction="add"), (4, 20)),
    (node("ScatterND", ["x", "apart", "row"], ["y"]), (4, 20)),
    (node("ScatterND", ["x", "pairs", "one"], ["y"]), (4, 20)),
    (node("ScatterND", ["x", "grid", "all"], ["y"]), (5, 20)),
]


@pytest.mark.parametrize(("proto", "shape"), NATIVE)
def test_few_choices_are_known_operations(build: Any, same_as_ort: Same, proto: Any, shape: Any):
    assert foreigners(same_as_ort(model(build, proto, shape))) == []


@pytest.mark.parametrize(("proto", "shape"), WHOLE)
def test_other_choices_stay_whole(build: Any, same_as_ort: Same, proto: Any, shape: Any):
    assert proto.op_type in foreigners(same_as_ort(model(build, proto, shape)))


def test_equal_numbers_come_in_order(build: Any):
    graph = graph_of(model(build, node("TopK", ["x", "two"], ["y", "i"]), (1, 4)))
    values, places = graph.run(np.array([[1, 5, 5, 5]], np.float32))
    np.testing.assert_array_equal(values, [[5, 5]])
    np.testing.assert_array_equal(places, [[1, 2]])
