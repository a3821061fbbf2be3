"""What becomes of nine well-known networks with seeded weights, for one target.

`python -m tests.bench.coverage --target onnx-int`, with `--only NAME` for some of them. The import
must equal onnxruntime within 1e-4 of the greatest output. Weights are random, so the decibels tell
that nothing is broken, not how a trained network fares.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
import onnx

import qcompile
from qcompile.errors import QcompileError
from qcompile.execute.ort import Session
from qcompile.ir.types import Array
from qcompile.models.light import LIGHT_NAMES, seeded_light_model

WITHIN: Final = 1e-4


@click.command()
@click.option("--target", default="onnx-int")
@click.option("--only", multiple=True, type=click.Choice(LIGHT_NAMES))
@click.option("--samples", default=4, help="Random pictures for calibration.")
def main(target: str, only: Sequence[str], samples: int) -> None:
    """Prints one line for each network."""
    head = f"{'import':>9} {'integer ops':>12} {'MACs %':>7} {'SQNR dB':>8} {'seconds':>8}"
    print(f"{target + ', network':24} {head}  result")
    for name in only or LIGHT_NAMES:
        with tempfile.TemporaryDirectory() as folder:
            print(f"{name:24} {line(name, target, samples, Path(folder))}", flush=True)


def line(name: str, target: str, samples: int, folder: Path) -> str:
    """Import, coverage, decibels and seconds of one network."""
    path = folder / f"{name}.onnx"
    onnx.save(seeded_light_model(name), path)
    graph = qcompile.load(path)
    (given,) = (node.name for node in graph.inputs)
    source = np.random.default_rng(1)
    pictures = [
        {given: source.standard_normal((1, 3, 224, 224), np.float32)} for _ in range(samples)
    ]
    error = imported(path, graph, pictures[0])
    said = f"{error:9.1e}"
    start = time.perf_counter()
    try:
        artifact = qcompile.compile(path, target=target, calib=pictures, output=folder / "artifact")
    except QcompileError as refused:
        return f"{said}  refused: {refused}"
    seconds = time.perf_counter() - start
    ok = "ok" if error <= WITHIN else f"import differs by more than {WITHIN:g}"
    return f"{said} {numbers(artifact.summary)} {seconds:8.1f}  {ok}"


def imported(path: Path, graph: Any, picture: Mapping[str, Array]) -> float:
    """Greatest difference between the imported graph and onnxruntime, of the greatest output."""
    wanted = Session(path, optimize=False).run(picture)
    found = graph.run(*picture.values())
    errors = [
        float(np.abs(found[i] - wanted[name]).max() / np.abs(wanted[name]).max())
        for i, (name, _) in enumerate(graph.outputs)
    ]
    return max(errors)


def numbers(summary: Mapping[str, Any]) -> str:
    """Integer operations, their part of the multiply-accumulates, decibels."""
    counts = summary["coverage"]
    macs = 100 * counts["macs_integer"] / max(counts["macs_total"], 1)
    worst = min(summary["quality"]["sqnr_db"].values())
    share = f"{counts['ops_integer']}/{counts['ops_total']}"
    return f"{share:>12} {macs:7.1f} {worst:8.1f}"


if __name__ == "__main__":
    main()
