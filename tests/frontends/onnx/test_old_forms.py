"""What used to be attributes, and meant something else, in older operator sets."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import helper

from qcompile.frontends.onnx import graph_of
from qcompile.ir.graph import Graph
from qcompile.ir.ops.foreign import Foreign
from qcompile.ir.ops.pointwise import Clip
from qcompile.ir.ops.reduce import Softmax

node = helper.make_node
Same = Callable[..., Graph]


def native(graph: Graph) -> Graph:
    assert not any(isinstance(n, Foreign) for n in graph.nodes)
    return graph


@pytest.mark.parametrize(
    "old",
    [
        (9, node("Clip", ["x"], ["y"], min=-0.5, max=0.5)),
        (9, node("Clip", ["x"], ["y"], max=0.25)),
        (9, node("Pad", ["x"], ["y"], pads=[0, 1, 0, 0, 2, 3], mode="reflect")),
        (9, node("Pad", ["x"], ["y"], pads=[0, 1, 0, 0, 2, 3], value=2.5)),
        (9, node("Slice", ["x"], ["y"], starts=[1, -3], ends=[1 << 31, -1], axes=[1, 2])),
        (11, node("Squeeze", ["x"], ["y"], axes=[0])),
        (11, node("Unsqueeze", ["x"], ["y"], axes=[0, -1])),
        (11, node("ReduceSum", ["x"], ["y"], axes=[-1], keepdims=0)),
        (11, node("ReduceMean", ["x"], ["y"])),
        (17, node("ReduceMax", ["x"], ["y"], axes=[1, 2])),
        (11, node("Softmax", ["x"], ["y"])),
        (12, node("Softmax", ["x"], ["y"], axis=0)),
        (11, node("LogSoftmax", ["x"], ["y"], axis=-1)),
        (11, node("Dropout", ["x"], ["y"], ratio=0.3)),
        (7, node("Dropout", ["x"], ["y"], ratio=0.3)),
        (11, node("Split", ["x"], ["y", "z"], axis=1, split=[1, 3])),
        (11, node("Flatten", ["x"], ["y"], axis=-1)),
    ],
    ids=lambda case: f"{case[0]}-{case[1].op_type}-{'-'.join(a.name for a in case[1].attribute)}",
)
def test_attributes(build, same_as_ort: Same, old) -> None:
    opset, proto = old
    native(same_as_ort(build([proto], inputs={"x": (1, 4, 5)}, opset=opset)))


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("opset", [7, 9])
def test_upsample(build, same_as_ort: Same, mode: str, opset: int) -> None:
    scales = [1.0, 1.0, 2.0, 1.5]
    attribute: dict[str, Any] = {"scales": scales} if opset == 7 else {}
    proto = node("Upsample", ["x"] if opset == 7 else ["x", "s"], ["y"], mode=mode, **attribute)
    weights = {} if opset == 7 else {"s": np.array(scales, np.float32)}
    native(same_as_ort(build([proto], inputs={"x": (1, 2, 4, 6)}, weights=weights, opset=opset)))


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_resize_10(build, same_as_ort: Same, mode: str) -> None:
    weights = {"s": np.array([1, 1, 2, 0.5], np.float32)}
    model = build(
        [node("Resize", ["x", "s"], ["y"], mode=mode)],
        inputs={"x": (1, 2, 4, 6)}, weights=weights, opset=10,
    )  # fmt: skip
    native(same_as_ort(model))


def test_batch_norm_of_opset_7_with_its_spatial_flag(build, same_as_ort: Same) -> None:
    weights = {name: np.linspace(0.5, 2, 3, dtype=np.float32) for name in "gbmv"}
    proto = node("BatchNormalization", ["x", *"gbmv"], ["y"], spatial=1, epsilon=1e-3)
    native(same_as_ort(build([proto], inputs={"x": (2, 3, 4)}, weights=weights, opset=7)))


def test_broadcast_attribute_of_opset_6(build) -> None:
    bias = np.arange(3, dtype=np.float32)
    proto = node("Add", ["x", "b"], ["y"], broadcast=1, axis=1)
    graph = graph_of(build([proto], inputs={"x": (2, 3, 4)}, weights={"b": bias}, opset=6))
    (got,) = native(graph).run(np.zeros((2, 3, 4), np.float32))
    np.testing.assert_array_equal(got, np.broadcast_to(bias[:, None], (2, 3, 4)))


def test_softmax_over_all_trailing_axes_is_reshaped(build) -> None:
    graph = graph_of(build([node("Softmax", ["x"], ["y"])], inputs={"x": (2, 3, 4)}, opset=11))
    (soft,) = (n for n in graph.nodes if isinstance(n, Softmax))
    assert soft.type.shape == (2, 12)


def test_clip_without_bounds_is_open(build) -> None:
    graph = graph_of(build([node("Clip", ["x"], ["y"])], inputs={"x": (2,)}, opset=6))
    (clip,) = (n for n in graph.nodes if isinstance(n, Clip))
    assert (clip.lo, clip.hi) == (-np.inf, np.inf)


def test_initializers_may_be_listed_as_inputs(build, same_as_ort: Same) -> None:
    model = build(
        [node("MatMul", ["x", "w"], ["y"])],
        inputs={"x": (2, 3), "w": (3, 4)}, weights={"w": np.ones((3, 4), np.float32)},
    )  # fmt: skip
    assert [i.name for i in same_as_ort(model).inputs] == ["x"]
