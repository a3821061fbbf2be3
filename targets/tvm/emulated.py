"""A library for another processor, run under qemu: slow, but the same bits."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qcompile.errors import ArtifactError
from qcompile.ir.types import Array
from qcompile.targets.base import Arrays
from qcompile.targets.compilers import c_compiler
from qcompile.targets.tvm.build import HEADER, LIBRARY, MAIN, WEIGHTS
from qcompile.targets.tvm.isa import Isa

Ports = tuple[tuple[str, str, tuple[int, ...]], ...]


@dataclass(frozen=True)
class EmulatedRuntime:
    """Each run starts the example program on files. `ports` are (name, dtype, shape) per form."""

    folder: Path
    isa: Isa
    inputs: tuple[str, ...]
    real: Ports
    raw: Ports
    device: str = "another processor, under qemu"
    emulated: bool = True

    def run(self, inputs: Arrays) -> dict[str, Array]:
        """Outputs as reals."""
        return self._run(inputs, self.real, [])

    def run_raw(self, inputs: Arrays) -> dict[str, Array]:
        """Outputs before their dequantize."""
        return self._run(inputs, self.raw, ["-o"])

    def trace(self, inputs: Arrays) -> Iterator[tuple[str, Array]]:
        """Nothing: the example program does not trace."""
        yield from ()

    def _run(self, inputs: Arrays, ports: Ports, flags: list[str]) -> dict[str, Array]:
        with tempfile.TemporaryDirectory() as name:
            work = Path(name)
            for file in (LIBRARY, WEIGHTS, HEADER, MAIN):
                os.symlink((self.folder / file).resolve(), work / file)
            for i, key in enumerate(self.inputs):
                np.ascontiguousarray(inputs[key]).tofile(work / f"input{i}.raw")
            files = [f"input{i}.raw" for i in range(len(self.inputs))]
            compiler = c_compiler(self.isa.triple)
            _call([*compiler, "-O1", MAIN, "-ldl", "-o", "main"], work)
            _call([*_emulator(self.isa), "./main", *flags, "-w", f"./{LIBRARY}", ".", *files], work)
            return {
                key: np.fromfile(work / f"output{i}.raw", dtype).reshape(shape)
                for i, (key, dtype, shape) in enumerate(ports)
            }


def is_foreign(isa: Isa) -> bool:
    """True when this machine is of another kind than the instruction set."""
    return isa.triple.split("-")[0] != os.uname().machine


def _emulator(isa: Isa) -> list[str]:
    machine = isa.triple.split("-")[0]
    for name in (f"qemu-{machine}", f"qemu-{machine}-static"):
        if shutil.which(name):
            return [name, "-cpu", "max", "-L", f"/usr/{machine}-linux-gnu"]
    raise ArtifactError(
        f"the library is for {machine} and this machine is {os.uname().machine}: run it there, "
        f"install qemu-user to run it here, or compile with --no-verify"
    )


def _call(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ArtifactError(f"{command[0]} failed ({done.returncode}): {done.stderr[-2000:]}")
