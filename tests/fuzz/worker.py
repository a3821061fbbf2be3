"""One case after another, in a process that may crash or hang without harm.

Reads seeds, one a line; says `stage NAME` as it goes and `KIND WHAT` at the end of each.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qcompile.calibrate.datafree import noise
from qcompile.driver import compile_model
from qcompile.errors import BadModel, CheckFailed, QcompileError
from qcompile.execute.ort import Session
from qcompile.ir.graph import Graph
from qcompile.ir.types import Array
from qcompile.options import Options
from qcompile.read import load
from qcompile.stages import require_static, simplify
from tests.fuzz.mutate import mutated

MEMORY = 8 << 30
WITHIN = 2e-3  # of the greatest value
GREAT = 1e15  # beyond, rounding decides everything


class Wrong(Exception):
    """A result that differs from the peer's."""


def main() -> None:
    """Answers each seed on standard input."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        kind, what = outcome(int(line))
        say(f"{kind} {' '.join(what.split())[:600]}")


def say(line: str) -> None:
    """To the harness."""
    sys.__stdout__.write(line + "\n")  # pyright: ignore[reportOptionalMemberAccess]
    sys.__stdout__.flush()  # pyright: ignore[reportOptionalMemberAccess]


def outcome(seed: int) -> tuple[str, str]:
    """`compiled`; `refused` or `unbuilt` and the message; or `bug` and where it is."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(mutated(seed))
        try:
            late = check(path)
        except CheckFailed as error:
            return "bug", f"CheckFailed: {error}"
        except (QcompileError, MemoryError) as error:
            return "refused", str(error)
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)[-5:]
            where = ", ".join(f"{Path(f.filename).name}:{f.lineno}" for f in frames)
            return "bug", f"{type(error).__name__}: {error} ({where})"
    return ("compiled", "") if late is None else ("unbuilt", str(late))


def check(path: Path) -> Exception | None:
    """Reads, simplifies, compares with onnxruntime, compiles and verifies; a late refusal."""
    say("stage load")
    graph = load(path)
    require_static(graph)
    say("stage run")
    sample = noise(graph, seed=1, count=1)[0]
    with np.errstate(all="ignore"):
        results = graph.run(*sample)
        say("stage simplify")
        compare("simplified", results, simplify(graph).run(*sample))
        say("stage compile")
        refused = compiled(path)
    say("stage peer")
    wanted = peer(path, graph, sample)
    if wanted is not None:
        compare("onnxruntime", wanted, results)
    return refused


def compiled(path: Path) -> Exception | None:
    """The refusal, when there is one."""
    options = Options("onnx-int", output=path.parent / "artifact", threads=1)
    try:
        compile_model(path, options)
    except CheckFailed:
        raise
    except (QcompileError, MemoryError) as error:
        return error
    return None


def peer(path: Path, graph: Graph, sample: Sequence[Array]) -> list[Array] | None:
    """What onnxruntime makes of the file; None when it refuses."""
    feeds = {node.name: value for node, value in zip(graph.inputs, sample, strict=True)}
    try:
        results = Session(path, optimize=False).run(feeds)
    except (BadModel, QcompileError):
        return None
    except Exception:  # onnxruntime's own, of many classes
        return None
    return [results[name] for name, _ in graph.outputs if name in results]


def compare(who: str, wanted: Sequence[Array], found: Sequence[Array]) -> None:
    """`Wrong` unless shapes, types and, within rounding, values are the same."""
    for index, (want, got) in enumerate(zip(wanted, found, strict=True)):
        if (want.shape, want.dtype) != (got.shape, got.dtype):
            raise Wrong(
                f"{who}: output {index} is {want.dtype}{list(want.shape)} there, "
                f"{got.dtype}{list(got.shape)} here"
            )
        if want.dtype.kind in "fiub" and not near(want, got):
            raise Wrong(f"{who}: output {index} differs: {shown(want, got)}")


def near(want: Array, got: Array) -> bool:
    """Not-a-numbers in the same places, the rest within rounding; the very great are not judged."""
    a, b = want.astype(np.float64), got.astype(np.float64)
    if not np.array_equal(np.isnan(a), np.isnan(b)):
        return False
    judged = np.isfinite(a) & np.isfinite(b)
    greatest = float(np.abs(a[judged]).max(initial=0))
    if greatest > GREAT:
        return True
    unequal = a[~judged] != b[~judged]
    if np.any(unequal & ~np.isnan(a[~judged])):
        return False
    return bool(np.all(np.abs(a - b)[judged] <= WITHIN * max(greatest, 1e-6)))


def shown(want: Any, got: Any) -> str:
    """The first few of both."""
    return f"{want.reshape(-1)[:4].tolist()} there, {got.reshape(-1)[:4].tolist()} here"


if __name__ == "__main__":
    main()
