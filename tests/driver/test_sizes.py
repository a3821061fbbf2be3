"""What an artifact takes on the disk: each weight once, in its own bits."""

import json
from math import prod
from pathlib import Path

import pytest

import qcompile
from qcompile.artifact import Artifact

MODELS = Path(__file__).parents[2] / "models"
FILES = ("blobs.bin", "model.onnx")


def compiled(folder: Path, target: str, scheme: str) -> Artifact:
    calib = MODELS / "resnet20_fashion_calib.npz"
    model = MODELS / "resnet20_fashion.onnx"
    return qcompile.compile(
        model, target=target, calib=calib, scheme=scheme, output=folder, verify=False
    )


def stored(artifact: Artifact) -> int:
    """Bytes of the files that hold weights."""
    files = artifact.manifest["files"]
    return sum(files[name]["bytes"] for name in FILES if name in files)


def weights(artifact: Artifact) -> int:
    """Bytes of the constants of rank 2 and 4, as the index says that they are stored."""
    index = json.loads((artifact.folder / "blobs.json").read_text())
    entries = [e for e in index.values() if len(e["shape"]) in (2, 4)]
    return sum(prod(e["shape"]) * bits(e) // 8 for e in entries)


def bits(entry: dict) -> int:
    planes = entry.get("planes", [[0, entry.get("bits", 8)]])
    return sum(width for _, width in planes)


@pytest.mark.parametrize("target", ["reference", "onnx-int", "onnx-qdq"])
def test_four_bits_take_half_the_bytes_of_eight(tmp_path: Path, target: str):
    four, eight = (compiled(tmp_path / s, target, s) for s in ("W4A8", "W8A8"))
    assert stored(four) < 0.53 * weights(eight) + 110_000
    assert weights(four) < 0.51 * weights(eight)
    spared = weights(eight) - weights(four)
    assert stored(eight) - stored(four) > 0.85 * spared


@pytest.mark.parametrize("target", ["reference", "onnx-int", "onnx-qdq"])
def test_the_summary_tells_the_bytes_that_are_stored(tmp_path: Path, target: str):
    """All but a few small weights, which are not worth packing, and biases of 4 bytes."""
    artifact = compiled(tmp_path / "it", target, "W4A8")
    told = artifact.summary["size"]["weight_bytes"]
    assert weights(artifact) == pytest.approx(told, rel=0.03)
    files = artifact.manifest["files"].values()
    assert artifact.summary["size"]["artifact_bytes"] == sum(file["bytes"] for file in files)
