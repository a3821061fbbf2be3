"""Predicted and measured latency: the table of a model's kernels against its whole network.

::

    python -m tests.bench.latency MODEL... [--target x86-int8] [--threads 1] [--calib x.npz]
                                  [--table FILE] [--schemes W8A8,W4A8,mixed]

For each model a table is measured (or the one of --table taken: then kernels that it lacks are
interpolated); then the network is compiled under each scheme and timed by `qcompile bench`. A
machine that does other work drifts in between; so the kernels of the first scheme's artifact and
the whole run of each are also timed in turns: the median ratio is printed as `in turns`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from qcompile.artifact import open_artifact
from qcompile.bench import bench
from qcompile.driver import compile_model
from qcompile.ir.graph import Graph
from qcompile.options import Options
from qcompile.profile.lookup import Lookup
from qcompile.profile.measure import Timed, measure, rows_of
from qcompile.profile.profile import Request, profile
from qcompile.profile.table import LatencyTable
from qcompile.program.graph_file import read_graph
from qcompile.progress import progress
from qcompile.targets import target
from qcompile.targets.opened import LibraryRuntime
from qcompile.targets.steps import ProgramStep

MIXED = {"*": "W8A8", "*2*": "W4A8"}


def main() -> None:
    """One line for each model and scheme."""
    asked = _arguments()
    for model in asked.models:
        with tempfile.TemporaryDirectory(prefix="latency-") as folder:
            place = Path(folder)
            table = asked.table or _measured(model, asked, place / "table.json")
            schemes = asked.schemes.split(",")
            for scheme in schemes:
                said = _line(model, scheme, asked, table, place / scheme)
                ratio = _in_turns(place / schemes[0], place / scheme, asked)
                print(f"{said}; in turns {ratio - 1:+6.1%}", flush=True)


def _measured(model: str, asked: argparse.Namespace, output: Path) -> Path:
    with progress(quiet=not asked.verbose) as say:
        request = Request(
            asked.target, model, calib=asked.calib, output=output, threads=asked.threads,
            rounds=asked.rounds,
        )  # fmt: skip
        profile(request, say)
    return output


def _line(model: str, scheme: str, asked: argparse.Namespace, table: Path, output: Path) -> str:
    widths: dict[str, Any] = {"widths": MIXED} if scheme == "mixed" else {"scheme": scheme}
    options = Options(
        asked.target, calib=asked.calib, output=output, latency_table=table,
        threads=asked.threads, verify=False, **widths,
    )  # fmt: skip
    latency = compile_model(model, options).summary["latency"]
    found = bench(output, model=None, rounds=asked.rounds, threads=(asked.threads,))
    row = found["results"][0]
    predicted, real = latency["predicted_ms"], row["median_ms"]
    return (
        f"{Path(model).stem:24} {scheme:6} {asked.threads} threads: predicted {predicted:9.3f} ms, "
        f"measured {real:9.3f} ({row['low_ms']:.3f} to {row['high_ms']:.3f}), "
        f"{predicted / real - 1:+6.1%}, {len(latency['interpolated'])} kernels interpolated"
    )


@dataclass(frozen=True)
class _Opened:
    """An artifact at work, and its steps."""

    runtime: LibraryRuntime
    graph: Graph
    steps: Sequence[ProgramStep]

    def measured(self) -> Timed:
        return measure(self.runtime, self.graph, self.steps, rounds=1)


def _in_turns(known: Path, other: Path, asked: argparse.Namespace) -> float:
    """Median over the turns: predicted from one artifact's kernels, over the other's whole run."""
    a, b = (_opened(folder, asked) for folder in (known, other))
    ratios: list[float] = []
    for _ in range(asked.rounds):
        timed, whole = a.measured(), b.measured().whole[0]
        table = LatencyTable(
            target=asked.target, device="", threads=asked.threads, date="", clock="", qcompile="",
            rounds=1, call=timed.call, emulated=False, rows=rows_of([timed]),
        )  # fmt: skip
        ratios.append(Lookup(table).predict(b.steps).milliseconds / whole)
    return median(ratios)


def _opened(folder: Path, asked: argparse.Namespace) -> _Opened:
    runtime, graph = open_artifact(folder, threads=asked.threads).runtime, read_graph(folder)
    assert isinstance(runtime, LibraryRuntime)
    return _Opened(runtime, graph, target(asked.target).outline(graph).steps)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--target", default="x86-int8")
    parser.add_argument("--calib")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--schemes", default="W8A8,W4A8,mixed")
    parser.add_argument("--verbose", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
