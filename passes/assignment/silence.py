"""Keeps what a C library prints away from standard output, which may be a program's answer."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Generator
from contextlib import contextmanager

STDOUT = 1


@contextmanager
def silenced() -> Generator[None]:
    """Drops what is written to the process's standard output meanwhile, buffers of C included.

    HiGHS prints a line of its own when it repairs a solution, whatever its options say.
    """
    libc = ctypes.CDLL("ucrtbase" if os.name == "nt" else None)
    libc.fflush(None)
    try:
        kept = os.dup(STDOUT)
    except OSError:  # closed: nothing can be printed
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, STDOUT)
        yield
        libc.fflush(None)
    finally:
        os.dup2(kept, STDOUT)
        os.close(kept)
        os.close(nowhere)
