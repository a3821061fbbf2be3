"""NVRTC as seen from outside: where it is installed, and a process of it that may die.

The compiler is a large C library that can crash or hang on bad input. It only ever runs in a
process of its own (`worker.py`), so that becomes an error that names the kernel.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from pathlib import Path
from threading import Timer
from types import TracebackType
from typing import IO, Any, Self

from qcompile.errors import ToolchainError

PACKAGE = "nvidia-cuda-nvrtc-cu12"
INSTALL = f"pip install {PACKAGE}==12.4.127"
SECONDS = 120.0  # one kernel takes under a second; a slow and loaded machine some
START_SECONDS = 60.0
TAIL = 2000  # characters of a dead compiler's output that are worth showing


@dataclass(frozen=True, slots=True)
class Nvrtc:
    """An installed compiler. `version` is the package's and stands for its output in the cache."""

    library: Path
    builtins: Path
    version: str


@dataclass(frozen=True, slots=True)
class Job:
    """One source to compile, under the name by which messages call it."""

    name: str
    source: str
    headers: Mapping[str, str]
    options: Sequence[str]


@dataclass(frozen=True, slots=True)
class Compiled:
    """What the compiler gave: machine code, PTX text without a final NUL, its log."""

    cubin: bytes
    ptx: bytes
    log: str


def installed() -> Nvrtc:
    """The compiler of the package; `ToolchainError` says how to get it."""
    try:
        package = distribution(PACKAGE)
    except PackageNotFoundError as missing:
        raise ToolchainError(
            f"{PACKAGE} is not installed, which compiles CUDA kernels without a GPU: {INSTALL}"
        ) from missing
    found = [Path(str(package.locate_file(file))) for file in package.files or ()]
    libraries = sorted(path for path in found if path.name.startswith("libnvrtc.so"))
    builtins = sorted(path for path in found if path.name.startswith("libnvrtc-builtins.so"))
    if not libraries or not builtins:
        raise ToolchainError(
            f"{PACKAGE} {package.version} holds no libnvrtc: reinstall it, {INSTALL}"
        )
    return Nvrtc(libraries[0], builtins[0], package.version)


class Worker:
    """One compiler process, started at the first job and again after it died.

    `compile` gives the result; `ToolchainError` if the compiler refuses the source, dies or takes
    longer than `seconds`. A context manager: the process ends with it.
    """

    def __init__(self, compiler: Nvrtc, *, seconds: float = SECONDS) -> None:
        self._compiler = compiler
        self._seconds = seconds
        self._process: _Process | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def compile(self, job: Job) -> Compiled:
        """The job's machine code and PTX."""
        process = self._started()
        line = json.dumps(
            {
                "name": f"{job.name}.cu",
                "source": job.source,
                "headers": dict(job.headers),
                "options": list(job.options),
            }
        )
        answer = process.ask(line, self._seconds)
        if answer is None:
            end = process.obituary()
            self._stop()
            raise ToolchainError(f"kernel {job.name}: NVRTC {self._compiler.version} {end}")
        if "error" in answer:
            said = answer["error"]
            raise ToolchainError(f"kernel {job.name}: NVRTC refuses the source:\n{said}")
        return Compiled(b64decode(answer["cubin"]), answer["ptx"].encode(), answer["log"])

    def _started(self) -> _Process:
        if self._process is None:
            process = _Process(self._compiler)
            if process.hear(START_SECONDS) is None:
                end = process.obituary()
                process.stop()
                raise ToolchainError(
                    f"NVRTC {self._compiler.version} at {self._compiler.library} {end}"
                )
            self._process = process
        return self._process

    def _stop(self) -> None:
        if self._process is not None:
            self._process.stop()
            self._process = None


class _Process:
    """A running worker: a line in, a line out, and what it left behind when it died."""

    def __init__(self, compiler: Nvrtc) -> None:
        script = str(files("qcompile.targets.cuda").joinpath("worker.py"))
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 closed in stop
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", script, str(compiler.library), str(compiler.builtins)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, text=True,
        )  # fmt: skip
        self._late = 0.0

    def ask(self, line: str, seconds: float) -> dict[str, Any] | None:
        """The answer to the line, or None when the process died or took too long."""
        pipe = self._process.stdin
        assert pipe is not None
        try:
            pipe.write(line + "\n")
            pipe.flush()
        except BrokenPipeError:  # it is dead already; the obituary tells how
            return None
        return self.hear(seconds)

    def hear(self, seconds: float) -> dict[str, Any] | None:
        """The next answer, or None when the process died or was ended for taking longer."""
        pipe = self._process.stdout
        assert pipe is not None
        timer = Timer(seconds, self._kill, (seconds,))
        timer.start()
        answer = pipe.readline()
        timer.cancel()
        return json.loads(answer) if answer.endswith("\n") else None

    def obituary(self) -> str:
        """How it ended, and the last of what it said."""
        code = self._process.wait()
        if self._late:
            how = f"gave no answer in {self._late:g} s"
        elif code < 0:
            how = f"crashed with {signal.Signals(-code).name}"
        else:
            how = f"ended with exit code {code}"
        self._said.seek(0)
        said = self._said.read().decode(errors="replace").strip()[-TAIL:]
        return f"{how}; it said:\n{said}" if said else f"{how} and said nothing"

    def stop(self) -> None:
        """Ends the process if it still runs, and forgets its output."""
        self._process.kill()
        self._process.communicate()
        self._said.close()

    def _kill(self, seconds: float) -> None:
        self._late = seconds
        self._process.kill()
