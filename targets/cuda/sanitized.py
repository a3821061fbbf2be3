"""One launch in a process of its own, under the address and undefined-behaviour sanitizers."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qcompile.errors import ToolchainError
from qcompile.targets.cuda.emulator import Array, Command, EmulationError, Emulator, found_compiler

SANITIZE: Command = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g1")
RUNTIMES = ("libasan.so", "libubsan.so")
OPTIONS = {"ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"}


@dataclass(frozen=True, slots=True)
class Case:
    """A launch: the library was built with the flags `SANITIZE`."""

    library: Path
    name: str
    grid: tuple[int, ...]
    block: tuple[int, ...]
    shared: int
    order: int


def run_sanitized(case: Case, arrays: Sequence[Array | np.generic]) -> list[Array]:
    """The arrays as the kernel left them; `EmulationError` carries a sanitizer's report."""
    with tempfile.TemporaryDirectory() as folder:
        given, left = Path(folder) / "given", Path(folder) / "left"
        given.write_bytes(pickle.dumps((case, list(arrays))))
        done = subprocess.run(
            (sys.executable, "-m", "qcompile.targets.cuda.sanitized", str(given), str(left)),
            env={**os.environ, **OPTIONS, "LD_PRELOAD": " ".join(_runtimes())},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise EmulationError(f"kernel {case.name} under the sanitizers:\n{done.stderr}")
        return pickle.loads(left.read_bytes())


def _runtimes() -> list[str]:
    """Where the compiler keeps the sanitizers; they must be loaded before Python's own memory."""
    compiler = found_compiler()
    paths = [
        subprocess.run(
            (*compiler, f"-print-file-name={name}"), capture_output=True, text=True, check=True
        ).stdout.strip()
        for name in RUNTIMES
    ]
    missing = [path for path in paths if not Path(path).is_absolute()]
    if missing:
        raise ToolchainError(
            f"{' '.join(compiler)} comes without {', '.join(missing)}: install g++ with them"
        )
    return paths


def _main(given: Path, left: Path) -> None:
    case, arrays = pickle.loads(given.read_bytes())
    Emulator(case.library).launch(
        case.name, grid=case.grid, block=case.block, shared=case.shared, order=case.order,
        arrays=arrays,
    )  # fmt: skip
    left.write_bytes(pickle.dumps(arrays))


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]))
