"""Where an artifact of a CPU target spends its time, and how two artifacts compare.

::

    python -m tests.bench.steps DIR [--beside OTHER] [--runs 100] [--each]

Each step's least time over the runs, in place, summed by kind of kernel (`--each`: step by step).
Then whole runs by the CPU time of their thread, which a machine that does other work does not spoil
as it does the time that passes; with `--beside` the two take turns. One thread, on golden inputs.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from qcompile.artifact import open_artifact
from qcompile.golden import load_arrays
from qcompile.ir.types import Array
from qcompile.targets.opened import LibraryRuntime
from qcompile.targets.tvm.library import Library


def main() -> None:
    """Prints both tables."""
    asked = _arguments()
    folders = [asked.folder, *([asked.beside] if asked.beside else [])]
    runs = [(_library(folder), _inputs(folder)) for folder in folders]
    for folder, (library, inputs) in zip(folders, runs, strict=True):
        _steps(folder, library, inputs, asked)
    spent: list[list[float]] = [[] for _ in runs]
    for _ in range(asked.runs):
        for times, (library, inputs) in zip(spent, runs, strict=True):
            start = time.thread_time()
            library.run(inputs)
            times.append(1e3 * (time.thread_time() - start))
    for folder, times in zip(folders, spent, strict=True):
        least, middle = min(times), float(np.median(times))
        print(f"{folder}: {least:.3f} ms of CPU time at least, {middle:.3f} in the median")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--beside", type=Path)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--each", action="store_true")
    return parser.parse_args()


def _library(folder: Path) -> Library:
    runtime = open_artifact(folder).runtime
    assert isinstance(runtime, LibraryRuntime)
    assert isinstance(runtime.library, Library)
    return runtime.library


def _inputs(folder: Path) -> list[Array]:
    arrays = load_arrays(folder / "golden" / "inputs.npz")
    names = [tensor.name for tensor in _library(folder).inputs(raw=False)]
    return [np.ascontiguousarray(arrays[name][0]) for name in names]


def _steps(
    folder: Path, library: Library, inputs: Sequence[Array], asked: argparse.Namespace
) -> None:
    rounds = [library.times(inputs) for _ in range(asked.runs)]
    least = np.min([[row[2] for row in found] for found in rounds], axis=0) / 1000
    print(f"{folder}: {least.sum():.0f} us in {len(least)} steps")
    totals: dict[str, list[float]] = defaultdict(list)
    for (name, kernel, _), microseconds in zip(rounds[0], least, strict=True):
        title = f"{kernel} {name}" if asked.each else kernel.rpartition("_")[0]
        totals[title].append(float(microseconds))
    ordered = totals.items() if asked.each else sorted(totals.items(), key=lambda t: -sum(t[1]))
    for title, times in ordered:
        print(f"{sum(times):9.1f} us  {len(times):4d} x  {title}")


if __name__ == "__main__":
    main()
