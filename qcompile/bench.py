"""bench: latency of an artifact beside onnxruntime, each contender in a process of its own.

The processes stay alive and take turns, so that all meet the same disturbances; a round is the
median of several runs, the result the median of the rounds. A contender that cannot run is a
remark, not an error.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import IO, Any

from qcompile.artifact import Artifact, open_artifact
from qcompile.doctor import processor
from qcompile.errors import ArtifactError, ReadError, UsageError

ROUND_SECONDS = 0.2


@dataclass(frozen=True)
class Contender:
    """A name, and what its worker process is told: kind, path, threads, sample file."""

    name: str
    kind: str
    path: Path


@dataclass
class Worker:
    """A living process that runs one contender when asked."""

    contender: Contender
    source: IO[str]
    sink: IO[str]

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """One line there, one line back. An error comes back as `{"error": …}`."""
        try:
            self.sink.write(json.dumps(request) + "\n")
            self.sink.flush()
            line = self.source.readline()
        except BrokenPipeError:
            line = ""
        return json.loads(line) if line else {"error": "its process died"}


def bench(
    folder: Path, *, model: Path | None, rounds: int, threads: Sequence[int]
) -> dict[str, Any]:
    """Medians in milliseconds and ratios to the artifact, per number of threads: plain JSON."""
    artifact = open_artifact(folder)
    sample = folder / "golden" / "inputs.npz"
    if not sample.is_file():
        raise ArtifactError(f"{folder} has no golden inputs to run on: compile again")
    if model is not None and not model.is_file():
        raise ReadError(f"no model at {model}: --model wants the float ONNX file")
    if artifact.runtime.emulated:
        raise UsageError(
            f"{folder} runs on {artifact.runtime.device} here, whose time says nothing about "
            f"{artifact.manifest['target']}: run bench where that is"
        )
    remarks: list[str] = []
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="qcompile-bench-") as scratch:
        contenders = [Contender("artifact", "artifact", folder.resolve())]
        if model is not None:
            contenders += _rivals(model.resolve(), Path(scratch), sample, remarks)
        for count in threads:
            results += _race(contenders, sample, count, rounds, remarks)
    return {
        "artifact": str(folder),
        "target": artifact.manifest["target"],
        "device": _device(artifact),
        "rounds": rounds,
        "results": results,
        "remarks": remarks,
    }


def _device(artifact: Artifact) -> str:
    """The processor's name, or the GPU's."""
    found = artifact.runtime.device
    return processor() if found.startswith("this processor") else found


def _rivals(model: Path, scratch: Path, sample: Path, remarks: list[str]) -> Iterator[Contender]:
    """The float model, and what onnxruntime's own quantizer makes of it."""
    yield Contender("onnxruntime float", "onnx", model)
    made = scratch / "int8.onnx"
    request = ["quantize", str(model), str(made), str(sample)]
    command = [sys.executable, "-m", "qcompile.bench_worker", *request]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        yield Contender("onnxruntime int8", "onnx", made)
        return
    why = done.stderr.strip().splitlines()[-1:] or ["no message"]
    remarks.append(f"onnxruntime int8 is absent: {why[0]}")


def _race(
    contenders: Sequence[Contender], sample: Path, threads: int, rounds: int, remarks: list[str]
) -> list[dict[str, Any]]:
    times: dict[str, list[float]] = {}
    with ExitStack() as stack:
        workers = [stack.enter_context(_worker(c, sample, threads)) for c in contenders]
        ready: list[tuple[Worker, int]] = []
        for worker in workers:
            said = worker.ask({"warm": ROUND_SECONDS})
            if "error" in said:
                remarks.append(f"{worker.contender.name}, {threads} threads: {said['error']}")
            else:
                ready.append((worker, said["runs"]))
        for turn in range(rounds):
            for worker, runs in ready[turn % len(ready) :] + ready[: turn % len(ready)]:
                seconds = worker.ask({"runs": runs})["seconds"]
                times.setdefault(worker.contender.name, []).append(1000 * median(seconds))
    base = median(times["artifact"]) if "artifact" in times else None
    return [
        {
            "threads": threads,
            "contender": name,
            "median_ms": median(found),
            "low_ms": min(found),
            "high_ms": max(found),
            "ratio": None if base is None else median(found) / base,
        }
        for name, found in times.items()
    ]


@contextmanager
def _worker(contender: Contender, sample: Path, threads: int) -> Generator[Worker]:
    request = [contender.kind, str(contender.path), str(sample), str(threads)]
    process = subprocess.Popen(
        [sys.executable, "-m", "qcompile.bench_worker", *request],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Worker(contender, process.stdout, process.stdin)
    finally:
        process.kill()
        process.communicate()
