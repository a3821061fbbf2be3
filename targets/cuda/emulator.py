"""Kernel sources → a library that runs them on the CPU and stands in for the CUDA driver."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from qcompile.errors import QcompileError, ToolchainError

Array = np.ndarray[Any, np.dtype[Any]]
Command = tuple[str, ...]

COMPILERS = ("g++", "c++", "clang++")
COMPILE = ("-std=c++17", "-O2", "-g0", "-fPIC", "-fvisibility=hidden", "-pthread")
KERNEL = (
    "-DQC_EMU", "-ffp-contract=off", "-fno-strict-aliasing", "-fwrapv", "-fno-math-errno", "-w",
    "-fstack-clash-protection", "-include", "qc_emulator.hpp",
)  # fmt: skip
LINK = (
    "-shared", "-pthread", "-Wl,-Bsymbolic", "-Wl,--build-id=none", "-Wl,-z,noexecstack",
    "-Wl,--version-script=exports",
)  # fmt: skip
EXPORTS = "{ global: cu*; qcemu_*; local: *; };\n"


class EmulationError(QcompileError):
    """A kernel that deadlocked, diverged or touched memory that is not its own."""


def emulator_library(
    sources: Mapping[str, str],
    *,
    cache: Path,
    threads: int = 2,
    flags: Command = (),
    includes: Mapping[str, str] | None = None,
    compiler: Command | None = None,
) -> Path:
    """The library with these kernels, kernel name → CUDA text; built once for each content.

    `includes` are further headers, name → text. A text registers its kernels by `QC_KERNEL(name)`
    lines; for one without any, the name it is filed under is registered. The library exports the
    driver's entry points (`cuInit` …) and the emulator's settings (`qcemu_…`).
    """
    command = compiler or found_compiler()
    own = _texts("emulator", ".hpp")
    headers = {**own, **device_headers(), **(includes or {})}
    units = [_Unit(name, text, (), own) for name, text in _texts("emulator", ".cpp").items()]
    for name, text in sorted(sources.items()):
        units.append(_Unit(f"{name}.kernel.cpp", _wrapped(name, text), KERNEL, headers))
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as work:
        for name, text in (headers | {"exports": EXPORTS}).items():
            (Path(work) / name).write_text(text)
        build = partial(_object, compiler=command, flags=flags, work=Path(work))
        with ThreadPoolExecutor(threads) as workers:
            objects = list(workers.map(build, units))
        return _linked(objects, compiler=command, flags=flags, work=Path(work))


def device_headers() -> dict[str, str]:
    """The headers that kernels include, name → text; the same for the GPU."""
    return _texts("device", ".cuh")


def found_compiler() -> Command:
    """The command of a C++ compiler on this machine."""
    for name in COMPILERS:
        path = shutil.which(name)
        if path is not None:
            return (path,)
    if find_spec("ziglang") is not None:
        return (sys.executable, "-m", "ziglang", "c++")
    raise ToolchainError(
        f"the emulator needs a C++ compiler, and none of {', '.join(COMPILERS)} is on the path: "
        "install g++, or the Python package ziglang"
    )


@dataclass(frozen=True, slots=True)
class _Unit:
    """What one object file is made of."""

    name: str
    text: str
    options: Command
    headers: Mapping[str, str]


def _texts(folder: str, suffix: str) -> dict[str, str]:
    entries = files("qcompile.targets.cuda").joinpath(folder).iterdir()
    found = {entry.name: entry.read_text() for entry in entries if entry.name.endswith(suffix)}
    return dict(sorted(found.items()))


def _wrapped(name: str, text: str) -> str:
    """In a nameless namespace: files give the same name to helpers with different bodies."""
    registration = "" if "QC_KERNEL(" in text else f"QC_KERNEL({name})\n"
    return f'namespace {{\n#line 1 "{name}.cu"\n{text}\n{registration}}}\n'


def _object(unit: _Unit, *, compiler: Command, flags: Command, work: Path) -> Path:
    """The unit's object file in the cache; written whole or not at all."""
    machine, version = _identity(compiler)
    baseline = ("-msse4.1",) if machine.startswith("x86_64") else ()  # rounds without a call
    options = (*COMPILE, *baseline, *unit.options, *flags)
    headers = (part for entry in unit.headers.items() for part in entry)
    result = work.parent / f"{_digest(machine, version, *options, *headers, unit.text)}.o"
    if result.exists():
        return result
    (work / unit.name).write_text(unit.text)
    made = work / f"{unit.name}.o"
    _run((*compiler, *options, "-I.", "-c", unit.name, "-o", made.name), folder=work)
    os.replace(made, result)
    return result


def _linked(objects: Sequence[Path], *, compiler: Command, flags: Command, work: Path) -> Path:
    names = [path.stem for path in objects]
    result = work.parent / f"emulator-{_digest(*names, *LINK, EXPORTS, *flags)}.so"
    if result.exists():
        return result
    made = work / result.name
    inputs = [f"../{path.name}" for path in objects]
    _run((*compiler, *flags, *inputs, *LINK, "-o", made.name), folder=work)
    os.replace(made, result)
    return result


@lru_cache
def _identity(compiler: Command) -> tuple[str, str]:
    """The machine it compiles for, and its version."""
    machine = _run((*compiler, "-dumpmachine"), folder=Path.cwd())
    version = _run((*compiler, "--version"), folder=Path.cwd())
    return machine.strip(), version.splitlines()[0]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _run(command: Sequence[str], *, folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ToolchainError(f"{' '.join(command)} failed:\n{done.stderr or done.stdout}")
    return done.stdout


@dataclass(frozen=True, slots=True)
class Stats:
    """What a launch did: instructions of warps; a conflict is one more trip to a bank."""

    switches: int
    matrices: int
    matrix_conflicts: int
    products: int
    accesses: int
    access_conflicts: int
    copies: int
    launches: int


class Emulator:
    """Launches the kernels of an emulator library on numpy arrays."""

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))
        self._library.qcemu_allocate.restype = ctypes.c_void_p

    def launch(
        self,
        name: str,
        *,
        grid: tuple[int, ...],
        block: tuple[int, ...],
        arrays: Sequence[Array | np.generic],
        shared: int = 0,
        order: int = 0,
        seed: int = 1,
        threads: int = 2,
    ) -> Stats:
        """Arrays go by pointer, in guarded copies that are written back; numpy scalars by value.

        Orders: 0 ascending threads, 1 descending, 2 random with asynchronous copies that land at
        once, 3 random with copies that land only when waited for (as they do in 0 and 1).
        """
        library = self._library
        library.qcemu_set_order(order)
        library.qcemu_set_seed(ctypes.c_uint(seed))
        library.qcemu_set_threads(threads)
        library.qcemu_reset_stats()
        message = ctypes.create_string_buffer(1000)
        places = [self._placed(array) for array in arrays]
        addresses = [ctypes.addressof(place) for place in places]
        failed = library.qcemu_launch(
            name.encode(), _triple(grid), _triple(block), shared,
            (ctypes.c_void_p * max(1, len(places)))(*addresses), message, len(message),
        )  # fmt: skip
        for array, place in zip(arrays, places, strict=True):
            self._return(array, place)
        if failed:
            raise EmulationError(message.value.decode())
        return self._stats()

    def _placed(self, array: Array | np.generic) -> Any:
        contents = array.tobytes()
        if isinstance(array, np.generic):
            return (ctypes.c_char * len(contents)).from_buffer_copy(contents)
        pointer = ctypes.c_void_p(self._library.qcemu_allocate(ctypes.c_size_t(len(contents))))
        ctypes.memmove(pointer, contents, len(contents))
        return pointer

    def _return(self, array: Array | np.generic, place: Any) -> None:
        if isinstance(array, np.generic):
            return
        if array.flags.writeable:
            contents = ctypes.string_at(place, array.nbytes)
            array[...] = np.frombuffer(contents, array.dtype).reshape(array.shape)
        self._library.qcemu_free(place, ctypes.c_size_t(array.nbytes))

    def _stats(self) -> Stats:
        values = (ctypes.c_uint64 * 8)()
        self._library.qcemu_stats(values)
        return Stats(*values)


def _triple(shape: tuple[int, ...]) -> Any:
    return (ctypes.c_uint * 3)(*shape, *(1,) * (3 - len(shape)))
