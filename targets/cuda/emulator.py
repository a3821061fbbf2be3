"""Kernel sources → a shared library that runs them on the CPU, and stands in for the CUDA driver."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
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

COMPILE = ("-std=c++17", "-O2", "-g0", "-fPIC", "-fvisibility=hidden", "-pthread")
KERNEL = (
    "-DQC_EMU", "-ffp-contract=off", "-fno-strict-aliasing", "-fwrapv", "-fno-math-errno", "-w",
    "-include", "qc_emulator.hpp",
)  # fmt: skip
LINK = ("-shared", "-pthread", "-Wl,-Bsymbolic", "-Wl,--build-id=none", "-Wl,-z,noexecstack")
BASELINE = {"x86_64": ("-msse4.1",), "AMD64": ("-msse4.1",)}
COMPILERS = ("g++", "c++", "clang++")


class EmulationError(QcompileError):
    """A kernel that deadlocked, diverged or touched memory it must not touch."""


def emulator_library(
    sources: Mapping[str, str],
    *,
    cache: Path,
    threads: int = 2,
    flags: tuple[str, ...] = (),
    includes: Mapping[str, str] | None = None,
) -> Path:
    """The library with these kernels, kernel name → CUDA text; built once for each content.

    `includes` are further headers, name → text. A text registers its kernels with `QC_KERNEL(name)`;
    one that does not is registered by its name.
    """
    compiler = _compiler()
    own = _texts("emulator", ".hpp")
    all_headers = {**own, **_texts("device", ".cuh"), **(includes or {})}
    runtime = [_Unit(name, text, (), own) for name, text in _texts("emulator", ".cpp").items()]
    kernels = [
        _Unit(f"{name}.kernel.cpp", _wrapped(name, text), KERNEL, all_headers)
        for name, text in sorted(sources.items())
    ]
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as work:
        for name, text in all_headers.items():
            (Path(work) / name).write_text(text)
        build = partial(_object, compiler=compiler, flags=flags, work=Path(work))
        with ThreadPoolExecutor(threads) as workers:
            objects = list(workers.map(build, [*runtime, *kernels]))
        return _linked(objects, compiler=compiler, flags=flags, cache=cache)


@dataclass(frozen=True, slots=True)
class _Unit:
    """What one object file is made of."""

    name: str
    text: str
    options: tuple[str, ...]
    headers: Mapping[str, str]


def _texts(folder: str, suffix: str) -> dict[str, str]:
    entries = files("qcompile.targets.cuda").joinpath(folder).iterdir()
    return {e.name: e.read_text() for e in sorted(entries, key=str) if e.name.endswith(suffix)}


def _wrapped(name: str, text: str) -> str:
    """In a nameless namespace, since files repeat the names of helpers with other bodies."""
    registration = "" if "QC_KERNEL(" in text else f"QC_KERNEL({name})\n"
    return f'namespace {{\n#line 1 "{name}.cu"\n{text}\n{registration}}}\n'


def _compiler() -> tuple[str, ...]:
    """The command of a C++ compiler."""
    for name in COMPILERS:
        path = shutil.which(name)
        if path is not None:
            return (path,)
    if find_spec("ziglang") is not None:
        return (sys.executable, "-m", "ziglang", "c++")
    raise ToolchainError(
        f"the emulator needs a C++ compiler, none of {', '.join(COMPILERS)} is on the path; "
        "install g++ or the Python package ziglang"
    )


def _object(unit: _Unit, *, compiler: tuple[str, ...], flags: tuple[str, ...], work: Path) -> Path:
    options = (*COMPILE, *BASELINE.get(platform.machine(), ()), *unit.options, *flags)
    headers = (part for entry in unit.headers.items() for part in entry)
    content = (*_version(compiler), *options, *headers, unit.name, unit.text)
    digest = hashlib.sha256("\0".join(content).encode()).hexdigest()
    result = work.parent / f"{digest[:32]}.o"
    if result.exists():
        return result
    (work / unit.name).write_text(unit.text)
    made = work / f"{unit.name}.o"
    _run((*compiler, *options, "-I.", "-c", unit.name, "-o", made.name), cwd=work)
    os.replace(made, result)
    return result


@lru_cache
def _version(compiler: tuple[str, ...]) -> tuple[str, ...]:
    done = _run((*compiler, "--version"), cwd=Path.cwd())
    return (*compiler, done.splitlines()[0], platform.machine())


def _linked(
    objects: Sequence[Path], *, compiler: tuple[str, ...], flags: tuple[str, ...], cache: Path
) -> Path:
    names = [path.name for path in objects]
    digest = hashlib.sha256("\0".join((*names, *LINK)).encode()).hexdigest()
    result = cache / f"emulator-{digest[:32]}.so"
    if result.exists():
        return result
    with tempfile.TemporaryDirectory(dir=cache) as work:
        made = Path(work) / result.name
        _run((*compiler, *flags, *names, *LINK, "-o", str(made.resolve())), cwd=cache)
        os.replace(made, result)
    return result


def _run(command: Sequence[str], *, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ToolchainError(f"{' '.join(command)} failed:\n{done.stderr or done.stdout}")
    return done.stdout


@dataclass(frozen=True, slots=True)
class Stats:
    """What a launch did, in instructions of a warp; conflicts are extra trips to a bank."""

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
        """Arrays are passed by pointer to guarded copies and written back; scalars by value.

        Orders: 0 ascending threads, 1 descending, 2 random with asynchronous copies landing at once,
        3 random with copies landing only when waited for (as in 0 and 1).
        """
        library = self._library
        library.qcemu_set_order(order)
        library.qcemu_set_seed(ctypes.c_uint(seed))
        library.qcemu_set_threads(threads)
        library.qcemu_reset_stats()
        message = ctypes.create_string_buffer(1000)
        places = [self._placed(array) for array in arrays]
        pointers = (ctypes.c_void_p * max(1, len(places)))(
            *(ctypes.addressof(value) for value in places)
        )
        failed = library.qcemu_launch(
            name.encode(), _triple(grid), _triple(block), shared, pointers, message, len(message)
        )
        for array, place in zip(arrays, places, strict=True):
            self._return(array, place)
        if failed:
            raise EmulationError(message.value.decode())
        return self._stats()

    def _placed(self, array: Array | np.generic) -> Any:
        if isinstance(array, np.generic):
            return (ctypes.c_char * array.nbytes).from_buffer_copy(array.tobytes())
        pointer = ctypes.c_void_p(self._library.qcemu_allocate(ctypes.c_size_t(array.nbytes)))
        contents = array.tobytes()
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
