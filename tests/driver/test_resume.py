"""--resume: the artifact of a run that was not ended, and refusals of what is another run."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest

from qcompile.cli.guard import run as command
from tests.cli.conftest import network

ROOT = Path(__file__).parents[2]
RESNET20 = ROOT / "models" / "resnet20_fashion.onnx"
NEVER = 10**9


@dataclass(frozen=True)
class Workplace:
    """A model, samples, a cache and a place for the artifact."""

    folder: Path
    model: Path
    budget: str

    @property
    def arguments(self) -> list[str]:
        calib, output = str(self.folder / "calib.npz"), str(self.folder / "it")
        chosen = ["--bits", "auto", "--budget", self.budget]
        return [
            *(str(self.model), "--target", "reference", "--calib", calib, *chosen),
            *("-o", output),
        ]

    def compiling(self, results: int, *others: str) -> subprocess.CompletedProcess:
        """The compilation in a process of its own, killed at so many results."""
        killed = [sys.executable, "-m", "tests.driver.killed", str(results)]
        environment = {**os.environ, "XDG_CACHE_HOME": str(self.folder / "cache")}
        return subprocess.run(
            [*killed, *self.arguments, *others], cwd=ROOT, env=environment,
            capture_output=True, text=True,
        )  # fmt: skip

    @property
    def digest(self) -> str:
        return json.loads((self.folder / "it" / "manifest.json").read_text())["digest"]


def small(folder: Path) -> Workplace:
    folder.mkdir(exist_ok=True)
    onnx.save(network(), folder / "small.onnx")
    samples = np.random.default_rng(1).standard_normal((9, 3, 8, 8), np.float32)
    np.savez(folder / "calib.npz", x=samples)
    return Workplace(folder, folder / "small.onnx", "size=180B")


def resnet20(folder: Path) -> Workplace:
    folder.mkdir(exist_ok=True)
    with np.load(ROOT / "models" / "resnet20_fashion_calib.npz") as data:
        np.savez(folder / "calib.npz", x=data["x"][:3])
    return Workplace(folder, RESNET20, "size=138KB")


@pytest.fixture(scope="module")
def ended(tmp_path_factory) -> Workplace:
    """A run that was killed at its fourth result. Do not finish it."""
    place = small(tmp_path_factory.mktemp("ended"))
    assert place.compiling(4).returncode == -signal.SIGKILL
    return place


@pytest.fixture
def within(ended, monkeypatch):
    """A command in this process, on the cache of the run that was killed."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(ended.folder / "cache"))

    def again(*others: str) -> int:
        return command([*ended.arguments, "--quiet", *others])

    return again


def test_a_killed_run_leaves_no_artifact(ended):
    assert not (ended.folder / "it").exists()


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (("--budget", "size=190B"), '--budget ({"size": 180.0} then, {"size": 190.0} now)'),
        (("--seed", "3"), "--seed (0 then, 3 now)"),
        (("--calib", str(ROOT / "models" / "resnet20_fashion_calib.npz")), "input 'x' wants"),
        (("--max-drop", "1%"), "--max-drop (null then, 0.01 now)"),
        (("-o", "elsewhere"), "no run to elsewhere was ended"),
    ],
)
def test_another_run_is_refused(within, capsys, other, said):
    assert within("--resume", *other) == 2
    assert said in capsys.readouterr().err


def test_other_samples_are_refused(within, ended, tmp_path, capsys):
    samples = np.random.default_rng(2).standard_normal((9, 3, 8, 8), np.float32)
    np.savez(tmp_path / "other.npz", x=samples)
    assert within("--resume", "--calib", str(tmp_path / "other.npz")) == 2
    assert "differs in the samples: give the same" in capsys.readouterr().err


def test_another_model_is_refused(within, ended, capsys):
    (model,) = onnx.load(ended.model).graph.initializer[:1]
    changed = onnx.load(ended.model)
    changed.graph.initializer[0].raw_data = model.raw_data[::-1]
    kept = ended.model.read_bytes()
    onnx.save(changed, ended.model)
    assert within("--resume") == 2
    ended.model.write_bytes(kept)
    assert "differs in the model: give the same" in capsys.readouterr().err


def test_a_killed_run_goes_on(tmp_path, monkeypatch):
    place, whole = small(tmp_path / "it"), small(tmp_path / "whole")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    assert command([*whole.arguments, "--quiet"]) == 0
    assert place.compiling(6).returncode == -signal.SIGKILL
    resumed = place.compiling(NEVER, "--resume")
    assert "10, 6 of them found before" in resumed.stderr
    assert place.digest == whole.digest


def test_a_run_that_is_done_cannot_be_resumed(tmp_path, monkeypatch, capsys):
    place = small(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert command(place.arguments) == 0
    assert command([*place.arguments, "--resume", "--force"]) == 2
    assert "was ended before it was done" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_killed_again_and_again_goes_on(tmp_path):
    place, whole = resnet20(tmp_path / "it"), resnet20(tmp_path / "whole")
    killed = [place.compiling(results).returncode for results in (1, 30, 60)]
    assert killed == [-signal.SIGKILL] * 3
    assert place.compiling(NEVER, "--resume").returncode == 0
    assert whole.compiling(NEVER).returncode == 0
    assert place.digest == whole.digest
