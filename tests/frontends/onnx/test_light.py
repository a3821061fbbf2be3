"""The nine well-known networks, with seeded weights, against onnxruntime."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime
import pytest

from qcompile.frontends.onnx import graph_of
from qcompile.ir.ops.foreign import Foreign
from qcompile.models.light import LIGHT_NAMES, seeded_light_model

QUICK = ("squeezenet", "shufflenet", "resnet50")


def _check(name: str) -> None:
    model = seeded_light_model(name)
    graph = graph_of(model)
    assert not any(isinstance(node, Foreign) for node in graph.nodes)
    picture = np.random.default_rng(1).standard_normal((1, 3, 224, 224), np.float32)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, ["CPUExecutionProvider"]
    )
    (feed,) = (node.name for node in graph.inputs)
    wanted: Sequence[Any] = session.run(None, {feed: picture})
    (got,), (want,) = graph.run(picture), wanted
    assert np.abs(got - want).max() <= 1e-4 * np.abs(want).max()


@pytest.mark.parametrize("name", QUICK)
def test_equals_onnxruntime(name: str) -> None:
    _check(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in LIGHT_NAMES if n not in QUICK])
def test_large_ones_equal_onnxruntime(name: str) -> None:
    _check(name)
