"""A graph → the files of its library. Code generation runs in child processes."""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path

import numpy as np

from qcompile.errors import ToolchainError
from qcompile.ir.graph import Graph
from qcompile.program.program import Program
from qcompile.targets.compilers import c_compiler, call
from qcompile.targets.loops.expr import Dot
from qcompile.targets.loops.memory import planned
from qcompile.targets.loops.nest import Nest
from qcompile.targets.loops.select import Lowered, lower
from qcompile.targets.tvm.emit import Source, model_c
from qcompile.targets.tvm.isa import Isa
from qcompile.targets.tvm.lowering import native
from qcompile.targets.tvm.names import value_names
from qcompile.targets.tvm.weights_file import WEIGHTS, WeightsFile, weights_file

LIBRARY, HEADER, MAIN = "model.so", "model.h", "main.c"
OBJECTS = 8  # kernels go into this many object files, whatever the number of processes
WORKER = (sys.executable, "-m", "qcompile.targets.tvm.worker")
COMPILE = ("-O2", "-fPIC", "-std=gnu11", "-fvisibility=hidden", "-ffp-contract=off", "-g0")
LINK = (
    "-shared", "-Wl,--build-id=none", "-Wl,-s", "-Wl,-Bsymbolic", "-Wl,--gc-sections",
    "-Wl,--version-script=exports",
)  # fmt: skip
EXPORTS = "{ global: qc_*; local: *; };\n"


Compiler = Callable[[Mapping[str, Nest], Isa, Path], list[Path]]


@dataclass(frozen=True)
class Built:
    """What was written, and the program behind it."""

    files: tuple[str, ...]
    lowered: Lowered
    program: Program[int]
    kernels: tuple[str, ...]
    weights: WeightsFile


def build(
    graph: Graph, isa: Isa, folder: Path, *, threads: int = 2, compiler: Compiler | None = None
) -> Built:
    """Compiles the graph into the folder; kernels by `compiler`, in child processes by default."""
    ctx = native(graph, isa)
    lowered = lower(ctx)
    names = tuple(kernel_name(step.nest) for step in lowered.steps)
    program = planned(lowered)
    if not ctx.weights.parts:
        ctx.weights.put(np.zeros(1, np.int8))
    weights = weights_file(ctx.weights)
    nests = {name: step.nest for name, step in zip(names, lowered.steps, strict=True)}
    values = value_names(ctx.graph)
    arena = max(program.size, 64)
    source = Source(graph.name, values, lowered, names, program.offsets, arena, weights, isa)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / WEIGHTS).open("wb") as file:
        file.writelines(weights.parts)
    for template in (HEADER, MAIN):
        text = files("qcompile.targets.tvm").joinpath(template).read_text()
        (folder / template).write_text(text)
    with tempfile.TemporaryDirectory() as work:
        compiled = compiler or partial(compile_kernels, threads=threads)
        objects = compiled(nests, isa, Path(work))
        _link(model_c(source), objects, folder, Path(work), isa)
    return Built((LIBRARY, WEIGHTS, HEADER, MAIN), lowered, program, names, weights)


def kernel_name(nest: Nest) -> str:
    """A name that says what the nest does and is the nest's own."""
    digest = hashlib.sha256(repr(nest).encode()).hexdigest()[:10]
    kind = "map" if nest.body is None else nest.combine
    shape = "x".join(map(str, nest.outer))
    inner = "_k" + "x".join(map(str, nest.inner)) if nest.inner else ""
    tile = "_t" + "x".join(map(str, nest.tile)) if isinstance(nest.body, Dot) else ""
    return f"{kind}_{shape}{inner}{tile}_{digest}"


def compile_kernels(nests: Mapping[str, Nest], isa: Isa, work: Path, *, threads: int) -> list[Path]:
    """Object files of all kernels; `threads` processes side by side, the same bytes for any."""
    shares = _shares(nests)
    jobs = [work / f"kernels{i}.pickle" for i in range(len(shares))]
    for job, share in zip(jobs, shares, strict=True):
        job.write_bytes(pickle.dumps((share, isa)))
    groups = [jobs[i::threads] for i in range(min(threads, len(jobs)))]
    running = [_start(group) for group in groups]
    for process, group in zip(running, groups, strict=True):
        _, errors = process.communicate()
        if process.returncode != 0:
            names = ", ".join(job.stem for job in group)
            raise ToolchainError(
                f"the kernel compiler failed on {names} (status {process.returncode}):\n"
                + errors.decode(errors="replace")[-4000:]
            )
    return [job.with_suffix(".o") for job in jobs]


def _shares(nests: Mapping[str, Nest]) -> list[dict[str, Nest]]:
    """The kernels dealt out by name."""
    names = sorted(nests)
    count = min(OBJECTS, len(names))
    return [{name: nests[name] for name in names[i::count]} for i in range(count)]


def _start(jobs: Sequence[Path]) -> subprocess.Popen[bytes]:
    command = [*WORKER, *map(str, jobs)]
    environment = {**os.environ, "TVM_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment
    )


def _link(text: str, objects: Sequence[Path], folder: Path, work: Path, isa: Isa) -> None:
    compiler = c_compiler(isa.triple)
    (work / "model.c").write_text(text)
    header = files("qcompile.targets.tvm").joinpath(HEADER).read_text()
    (work / HEADER).write_text(header)
    (work / "exports").write_text(EXPORTS)
    call([*compiler, *COMPILE, "-c", "model.c", "-o", "model.o"], work)
    parts = ["model.o", *(o.name for o in objects)]
    call([*compiler, *LINK, *parts, "-o", LIBRARY, "-lm", "-lpthread"], work)
    shutil.copyfile(work / LIBRARY, folder / LIBRARY)
