"""A process killed in the middle, again and again, ends with the table of one that was not."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # each process imports torch

ROOT = Path(__file__).parents[2]
NEVER = 1000


def run(folder, answers):
    command = [sys.executable, "-m", "tests.sensitivity.killed", str(folder), str(answers)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_killed_twice_and_resumed(tmp_path):
    whole = run(tmp_path / "whole", NEVER)
    killed = [run(tmp_path / "killed", answers) for answers in (2, 5)]
    resumed = run(tmp_path / "killed", NEVER)
    assert [process.returncode for process in killed] == [-signal.SIGKILL] * 2
    assert resumed.stdout == whole.stdout != ""


def test_what_a_killed_process_found_is_kept(tmp_path):
    run(tmp_path, 4)
    assert len(list(tmp_path.glob("*/*"))) == 4
