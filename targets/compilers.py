"""The C compiler for a processor."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from qcompile.errors import ToolchainError


def c_compiler(triple: str) -> list[str]:
    """The one named in QCOMPILE_CC, or else the one found; `ToolchainError` when there is none."""
    wanted = os.environ.get("QCOMPILE_CC")
    command = wanted.split() if wanted else found_compiler(triple)
    if command is not None:
        return command
    names = " or ".join(_names(triple))
    raise ToolchainError(
        f"no C compiler for {_machine(triple)}: install {names}, or the Python package "
        "ziglang, or name one in QCOMPILE_CC"
    )


def found_compiler(triple: str) -> list[str] | None:
    """The command of a compiler that is installed for the processor."""
    for name in _names(triple):
        if shutil.which(name):
            return [name]
    if find_spec("ziglang") is not None:
        return [sys.executable, "-m", "ziglang", "cc", "-target", triple]
    return None


def call(command: Sequence[str], folder: Path) -> None:
    """Runs it in the folder; `ToolchainError` carries the command and what it said."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ToolchainError(f"{' '.join(command)}: {done.stderr[-4000:]}")


def _names(triple: str) -> list[str]:
    native = _machine(triple) == os.uname().machine
    return ["cc", "gcc", "clang"] if native else [f"{_machine(triple)}-linux-gnu-gcc"]


def _machine(triple: str) -> str:
    return triple.split("-")[0]
