"""The runtime's C sources → a library for this machine and, where it can be built, for others."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from qcompile.errors import ToolchainError
from qcompile.targets.compilers import c_compiler, call, found_compiler

LIBRARY = "libqcrt.so"
SOURCES = ("qcrt.h", "qcrt_driver.h", "qcrt_plan.h", "qcrt.c", "main.c")
FLAGS = (
    "-std=gnu11", "-O2", "-fPIC", "-fvisibility=hidden", "-g0", "-Wall", "-Wextra", "-shared",
    "-Wl,--build-id=none", "-Wl,-s", "-Wl,-Bsymbolic",
)  # fmt: skip
MACHINES = {"x86_64": 62, "aarch64": 183}  # as an ELF header names them


def build_host(folder: Path, *, foreign: Sequence[str] = ()) -> tuple[str, ...]:
    """Writes sources, `libqcrt.so` for this machine and `libqcrt-MACHINE.so` for each foreign one.

    A foreign machine without an installed compiler is left out. The names written are the result.
    Same compiler, same bytes.
    """
    here = os.uname().machine
    written = [*write_sources(folder)]
    compile_runtime(c_compiler(_triple(here)), folder / LIBRARY, here)
    written.append(LIBRARY)
    for machine in foreign:
        compiler = None if machine == here else found_compiler(_triple(machine))
        if compiler is not None:
            name = f"libqcrt-{machine}.so"
            compile_runtime(compiler, folder / name, machine)
            written.append(name)
    return tuple(written)


def write_sources(folder: Path) -> tuple[str, ...]:
    """The C files as they are, and their names."""
    folder.mkdir(parents=True, exist_ok=True)
    runtime = files("qcompile.targets.cuda").joinpath("runtime")
    for name in SOURCES:
        (folder / name).write_bytes(runtime.joinpath(name).read_bytes())
    return SOURCES


def compile_runtime(compiler: Sequence[str], library: Path, machine: str) -> None:
    """The library at that path. `ToolchainError` when the compiler is one for another machine."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        write_sources(work)
        call([*compiler, *FLAGS, "qcrt.c", "-o", LIBRARY, "-ldl"], work)
        found = int.from_bytes((work / LIBRARY).read_bytes()[18:20], "little")
        if found != MACHINES.get(machine, found):
            raise ToolchainError(
                f"{' '.join(compiler)} makes libraries for ELF machine {found}, not for {machine}: "
                "name another compiler in QCOMPILE_CC"
            )
        shutil.copyfile(work / LIBRARY, library)


def _triple(machine: str) -> str:
    return f"{machine}-linux-gnu"
