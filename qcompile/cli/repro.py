"""The file beside a bug report: command, versions, traceback and the graph at hand."""

from __future__ import annotations

import hashlib
import platform
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

from qcompile.doctor import versions


def write_repro(error: BaseException, arguments: Sequence[str]) -> Path:
    """Writes `qcompile-repro-….txt` here, or in the temporary folder when here is read-only."""
    trace = "".join(traceback.format_exception(error))
    text = "\n\n".join(
        [
            f"qcompile {' '.join(arguments)}",
            "\n".join(f"{name} {found}" for name, found in versions().items()),
            f"python {platform.python_version()} on {platform.platform()}",
            trace.rstrip(),
            graph_at_hand(error),
        ]
    )
    name = f"qcompile-repro-{hashlib.sha256(trace.encode()).hexdigest()[:8]}.txt"
    for folder in (Path.cwd(), Path(tempfile.gettempdir())):
        try:
            path = folder / name
            path.write_text(text + "\n")
            return path
        except OSError:
            continue
    print(text, file=sys.stderr)
    return Path("standard error")


def graph_at_hand(error: BaseException) -> str:
    """The text of the graph that the innermost frame was working on; weights by digest only."""
    from qcompile.ir.graph import Graph
    from qcompile.ir.text import dump

    found: Graph | None = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        graphs = [value for value in frame.f_locals.values() if isinstance(value, Graph)]
        found = graphs[0] if graphs else found
    if found is None:
        return "no graph was built yet"
    try:
        return dump(found)
    except Exception as second:
        return f"the graph {found} cannot be printed: {second}"
