"""Transformers and a state-space model become integers, verified, with what stays float listed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import qcompile
from qcompile.ir.types import Array
from qcompile.models import bert, llama, mamba, vit
from qcompile.models.export import export
from qcompile.models.text import read_text, rows

pytestmark = pytest.mark.slow
torch.set_num_threads(1)
FOLDER = Path(vit.__file__).parent
EVERY = [llama, bert, mamba, vit]
TARGETS = ["reference", "onnx-int", "x86-int8"]


def name_of(value: Any) -> str:
    return str(getattr(value, "__name__", value)).rpartition("models.")[2] or str(value)


def samples(model: Any) -> Array:
    """Sixteen rows of text, or pictures."""
    if model is vit:
        return np.load(FOLDER / "resnet20_fashion_test.npz")["x"][:16]
    return rows(read_text(Path(__file__).parents[1] / "data" / "jargon_excerpt.txt.gz"), 16)[:16]


def decibels(got: Array, want: Array) -> float:
    return float(10 * np.log10(np.square(want).mean() / np.square(want - got).mean()))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("model", EVERY, ids=name_of)
def test_from_torch(model: Any, target: str, tmp_path: Path):
    network, x = model.trained(), samples(model)
    calib = [{"x" if model is vit else "tokens": row[None]} for row in x[8:]]
    given = (torch.from_numpy(x[:1]),)
    program = torch.export.export(network, given)
    torch.export.save(program, tmp_path / "network.pt2")
    artifact = qcompile.compile(
        tmp_path / "network.pt2", target=target, calib=calib, output=tmp_path / "artifact"
    )
    (got,) = artifact.run({next(iter(calib[0])): x[:1]}).values()
    assert decibels(got, network(*given).detach().numpy()) >= 25


@pytest.mark.parametrize("model", EVERY, ids=name_of)
def test_from_onnx(model: Any, tmp_path: Path):
    network, x = model.trained(), samples(model)
    given = (torch.from_numpy(x[:1]),)
    export(network, given, tmp_path / "network.onnx")
    artifact = qcompile.compile(
        tmp_path / "network.onnx",
        target="onnx-int",
        calib=[{"x": row[None]} for row in x[8:]],
        output=tmp_path / "artifact",
    )
    (got,) = artifact.run({"x": x[:1]}).values()
    assert decibels(got, network(*given).detach().numpy()) >= 25
