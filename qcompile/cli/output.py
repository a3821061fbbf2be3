"""Standard output holds results only: whatever else writes there is sent to standard error."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, redirect_stdout


@contextmanager
def stdout_kept_clean() -> Generator[None]:
    """Within the block what Python or a library prints to standard output goes to stderr."""
    kept = _divert()
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        if kept is not None:
            os.dup2(kept, 1)
            os.close(kept)


def _divert() -> int | None:
    """Points file descriptor 1 at 2; None where the process has no such things."""
    try:
        if sys.stdout.fileno() != 1:
            return None
        sys.stdout.flush()
        kept = os.dup(1)
        os.dup2(2, 1)
    except (OSError, ValueError, io.UnsupportedOperation):
        return None
    return kept
