"""Example networks: same seed, same weights; exported, the same function; trained, as good."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import qcompile.models
from qcompile.models.efficientnet_lite0 import efficientnet_lite0
from qcompile.models.export import export
from qcompile.models.large import large_model
from qcompile.models.light import seeded_light_model
from qcompile.models.mobilenet import mobilenet
from qcompile.models.resnet20 import resnet20
from qcompile.models.resnet50 import resnet50
from qcompile.models.settle import noise
from qcompile.models.unet import unet

Build = Callable[[], nn.Module]

FOLDER = Path(qcompile.models.__file__).parent
BUILDS = [resnet20, mobilenet, unet, efficientnet_lite0, resnet50]
EXPORTS = [
    (resnet20, noise(1, 1, 28, 28)),
    (mobilenet, noise(1, 3, 32, 32)),
    (unet, noise(1, 1, 32, 32)),
    pytest.param(efficientnet_lite0, noise(1, 3, 64, 64), marks=pytest.mark.slow),
]


@pytest.mark.parametrize("build", BUILDS)
def test_one_seed_gives_one_network(build: Build):
    first, second = build(), build()
    torch.testing.assert_close(first.state_dict(), second.state_dict(), rtol=0, atol=0)


def test_another_seed_gives_another_network():
    first, second = next(resnet20(seed=0).parameters()), next(resnet20(seed=1).parameters())
    assert not torch.equal(first, second)


def test_building_leaves_the_random_state_alone():
    before = torch.get_rng_state()
    resnet20()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("build", "x"), EXPORTS)
def test_an_exported_network_is_the_same_function(build: Build, x: Tensor, tmp_path: Path):
    network = build()
    export(network, (x,), tmp_path / "network.onnx")
    (got,) = run(tmp_path / "network.onnx", x.numpy())
    np.testing.assert_allclose(got, network(x).detach().numpy(), rtol=1e-4, atol=1e-4)


def test_an_export_repeats_to_the_byte(tmp_path: Path):
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU6())
    export(network, (noise(1, 1, 8, 8),), tmp_path / "first.onnx")
    export(network, (noise(1, 1, 8, 8),), tmp_path / "second.onnx")
    assert (tmp_path / "first.onnx").read_bytes() == (tmp_path / "second.onnx").read_bytes()


def test_the_trained_network_keeps_its_normalizations():
    graph = onnx.load(FOLDER / "resnet20_fashion.onnx").graph
    assert [node.op_type for node in graph.node].count("BatchNormalization") == 21


def test_the_trained_network_is_right_on_89_of_100_pictures():
    test = np.load(FOLDER / "resnet20_fashion_test.npz")
    logits = run(FOLDER / "resnet20_fashion.onnx", *test["x"][:, None])
    assert np.mean(np.concatenate(logits).argmax(1) == test["label"]) >= 0.89


def test_calibration_pictures_are_fed_as_in_training():
    x = np.load(FOLDER / "resnet20_fashion_calib.npz")["x"]
    assert (x.shape, x.dtype) == ((64, 1, 28, 28), np.float32)
    assert np.isclose(x.min(), -0.2860 / 0.3530)


def test_a_filled_light_model_tells_classes_apart():
    picture = np.random.default_rng(1).standard_normal((1, 3, 224, 224), np.float32)
    (got,) = run(seeded_light_model("squeezenet").SerializeToString(), picture)
    assert np.isfinite(got).all()
    assert got.std() > 1e-3


def test_a_large_model_runs_from_its_external_weights(tmp_path: Path):
    large_model(tmp_path / "large.onnx", 0.001)
    assert (tmp_path / "large.onnx.data").stat().st_size >= 0.001 * 2**30
    (got,) = run(tmp_path / "large.onnx", np.ones((1, 256), np.float32))
    assert np.isfinite(got).all()
    assert got.std() > 0


def run(model: Path | bytes, *pictures: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """The first output for each picture, fed to the first input."""
    session = onnxruntime.InferenceSession(model)
    name: str = session.get_inputs()[0].name
    return [np.asarray(session.run(None, {name: x})[0]) for x in pictures]
