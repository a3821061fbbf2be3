"""The process behind one contender of `bench`: one JSON line in, one out, until the end.

::

    python -m qcompile.bench_worker artifact DIR golden/inputs.npz 1
    python -m qcompile.bench_worker onnx model.onnx golden/inputs.npz 1
    python -m qcompile.bench_worker quantize model.onnx int8.onnx golden/inputs.npz
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # pyright: ignore[reportMissingTypeStubs]  it has none

from qcompile.artifact import open_artifact
from qcompile.errors import QcompileError, UsageError
from qcompile.ir.types import Array

MOST_RUNS = 1000


def main(arguments: list[str]) -> None:
    """Dispatches on the first word."""
    match arguments:
        case ["quantize", model, output, sample]:
            from qcompile.execute.ort_rival import quantize_static

            try:
                quantize_static(Path(model), Path(output), _samples(Path(sample)))
            except QcompileError as error:
                sys.exit(" ".join(str(error).split()))
        case [kind, path, sample, threads]:
            _serve(kind, Path(path), Path(sample), int(threads))
        case _:
            raise UsageError(f"bench_worker does not understand {arguments}")


def _serve(kind: str, path: Path, sample: Path, threads: int) -> None:
    """Answers `{"warm": seconds}` with a number of runs and `{"runs": n}` with their times."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not look like an answer
    first = _samples(sample)[0]
    with threadpool_limits(limits=threads):
        runner = cache(lambda: _runner(kind, path, threads))
        for line in sys.stdin:
            try:
                answer = _answer(json.loads(line), lambda: runner()(first))
            except Exception as error:  # the parent says it; this process has nobody to tell
                answer = {"error": f"{type(error).__name__}: {error}"}
            answers.write(json.dumps(answer) + "\n")
            answers.flush()


def _runner(kind: str, path: Path, threads: int) -> Callable[[Mapping[str, Array]], Any]:
    if kind == "artifact":
        return open_artifact(path, threads=threads).run
    from qcompile.execute.ort_rival import Rival

    return Rival(path, threads=threads).run


def _answer(request: Mapping[str, Any], once: Callable[[], Any]) -> dict[str, Any]:
    if "warm" not in request:
        return {"seconds": [_timed(once) for _ in range(int(request["runs"]))]}
    once()
    shortest = min(_timed(once) for _ in range(3))
    return {"runs": max(1, min(MOST_RUNS, int(request["warm"] / max(shortest, 1e-6))))}


def _timed(once: Callable[[], Any]) -> float:
    start = time.perf_counter()
    once()
    return time.perf_counter() - start


def _samples(path: Path) -> list[dict[str, Array]]:
    with np.load(path, allow_pickle=False) as data:
        columns = {name: data[name] for name in data.files}
    count = min(len(column) for column in columns.values())
    return [{name: column[i] for name, column in columns.items()} for i in range(count)]


if __name__ == "__main__":
    main(sys.argv[1:])
