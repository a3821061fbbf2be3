"""A rotated and quantized Llama, ended at some moment: --resume gives what a whole run gives."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEVER = "no step is called so"
MOMENTS = [
    "looking at activations: 9 of",
    "rotating at sites: 1 of",
    "recipe",
    "scaling weights: 5 of",
    "building kernels",
    "verifying the artifact",
]


def compiling(folder: Path, *words: str) -> int:
    place = [sys.executable, "-m", "tests.driver.killed_at", str(folder / "it"), *words]
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    return subprocess.run(place, cwd=ROOT, env=environment, check=False).returncode


def digest(folder: Path) -> str:
    return json.loads((folder / "it" / "manifest.json").read_text())["digest"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("whole")
    assert compiling(folder, NEVER) == 0
    return digest(folder)


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_that_was_ended_gives_the_same_artifact(moment: str, tmp_path: Path, whole: str):
    assert compiling(tmp_path, moment) == -signal.SIGKILL
    assert not (tmp_path / "it").exists()
    assert compiling(tmp_path) == 0
    assert digest(tmp_path) == whole
