"""A command in a process of its own: its seconds, its greatest memory, what it printed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """How a command ran."""

    code: int
    seconds: float
    peak_bytes: int
    out: str
    err: str

    def __str__(self) -> str:
        """`12.3 s, 456 MB`, and what went wrong."""
        said = f"{self.seconds:6.1f} s, {self.peak_bytes / 1e6:6.0f} MB"
        if self.code == 0:
            return said
        return f"{said}, exit code {self.code}: {self.err.strip().splitlines()[-1:]}"


def measured(arguments: Sequence[str], **environment: str) -> Measured:
    """`python ARGUMENTS`; the memory is the greatest resident set of it and its children, each."""
    surroundings = {**os.environ, **environment}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        command = [sys.executable, *arguments]
        process = subprocess.Popen(command, stdout=out, stderr=err, env=surroundings)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - start
        out.seek(0)
        err.seek(0)
        texts = [file.read().decode(errors="replace") for file in (out, err)]
    return Measured(process.returncode, seconds, usage.ru_maxrss * 1024, *texts)


def qcompile(*arguments: object, **environment: str) -> Measured:
    """`qcompile ARGUMENTS`."""
    return measured(["-m", "qcompile", *map(str, arguments)], **environment)
