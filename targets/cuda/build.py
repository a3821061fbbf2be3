"""Sources → kernels: machine code and PTX of each, from compiler processes or the cache."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from qcompile.cache import Cache, key
from qcompile.errors import ToolchainError
from qcompile.targets.cuda.devices import Chip
from qcompile.targets.cuda.nvrtc import Compiled, Job, Nvrtc, Worker, installed
from qcompile.targets.cuda.ptxas import usage

# Nothing here trades exactness for speed: no fast math, and a product is rounded before it is
# added, as the interpreter does it (a float island keeps one rounding for each operation).
OPTIONS = (
    "--std=c++17",
    "--device-as-default-execution-space",
    "--fmad=false",
    "--ftz=false",
    "--prec-div=true",
    "--prec-sqrt=true",
    "--ptxas-options=-v",
)
FORMAT = "1"  # of a cache entry


@dataclass(frozen=True, slots=True)
class Kernel:
    """One compiled kernel. `ptx` is text without a final NUL, which the driver wants added.

    `registers` of 32 bits a thread; `stack`, spills and `shared_static` in bytes.
    """

    name: str
    cubin: bytes
    ptx: bytes
    registers: int
    stack: int
    spill_loads: int
    spill_stores: int
    shared_static: int
    log: str


def compile_kernels(
    sources: Mapping[str, str],
    chip: Chip,
    *,
    headers: Mapping[str, str],
    cache: Path | None,
    threads: int,
    compiler: Nvrtc | None = None,
) -> dict[str, Kernel]:
    """Every source's kernel, by name and in the order of `sources`.

    The source under a name defines exactly one `extern "C" __global__` function, of that name. The
    result depends on sources, headers, chip and compiler, not on `threads`, which are compiler
    processes. `ToolchainError` names all kernels that did not compile, after the others did.
    """
    compiler = installed() if compiler is None else compiler
    options = (f"--gpu-architecture={chip.arch}", *OPTIONS)
    jobs = [Job(name, text, headers, options) for name, text in sources.items()]
    shelf = _Shelf(None if cache is None else Cache(cache), compiler.version)
    kept = {job.name: kernel for job in jobs if (kernel := shelf.find(job)) is not None}
    new = _compile([job for job in jobs if job.name not in kept], compiler, shelf, threads)
    failures = [new[name] for name in sources if isinstance(new.get(name), ToolchainError)]
    if failures:
        reasons = "\n".join(dict.fromkeys(map(str, failures)))
        raise ToolchainError(
            f"{len(failures)} of {len(jobs)} kernels for {chip.arch} do not compile\n{reasons}"
        )
    found = {**kept, **new}
    return {name: kernel for name in sources if isinstance(kernel := found[name], Kernel)}


def _compile(
    jobs: list[Job], compiler: Nvrtc, shelf: _Shelf, threads: int
) -> dict[str, Kernel | ToolchainError]:
    """Each job's kernel or why there is none; a free process takes the next job."""
    waiting = deque(jobs)
    results: dict[str, Kernel | ToolchainError] = {}

    def serve() -> None:
        with Worker(compiler) as worker:
            while waiting:
                try:
                    job = waiting.popleft()
                except IndexError:  # another thread took the last one
                    return
                results[job.name] = _one(worker, job, shelf)

    with ThreadPoolExecutor(max(1, min(threads, len(jobs)))) as pool:
        try:
            for served in [pool.submit(serve) for _ in jobs[:threads]]:
                served.result()
        finally:
            waiting.clear()  # on an error or an interrupt the others stop after their kernel
    if jobs:
        shelf.trim()
    return results


def _one(worker: Worker, job: Job, shelf: _Shelf) -> Kernel | ToolchainError:
    try:
        kernel = _kernel(job.name, worker.compile(job))
    except ToolchainError as failure:
        return failure
    shelf.keep(job, kernel)
    return kernel


def _kernel(name: str, compiled: Compiled) -> Kernel:
    found = usage(compiled.log)
    if list(found) != [name]:
        defined = ", ".join(found) or "none"
        raise ToolchainError(
            f'kernel {name}: its source must define one extern "C" __global__ function of that '
            f"name, and defines {defined}"
        )
    use = found[name]
    return Kernel(
        name=name, cubin=compiled.cubin, ptx=compiled.ptx, registers=use.registers,
        stack=use.stack, spill_loads=use.spill_loads, spill_stores=use.spill_stores,
        shared_static=use.shared, log=compiled.log,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Shelf:
    """The cache, if there is one, as kernels by job."""

    cache: Cache | None
    version: str

    def find(self, job: Job) -> Kernel | None:
        data = None if self.cache is None else self.cache.get(self._key(job))
        if data is None:
            return None
        head, _, body = data.partition(b"\n")
        fields = json.loads(head)
        size = int(fields["cubin"])
        return _kernel(job.name, Compiled(body[:size], body[size:], fields["log"]))

    def keep(self, job: Job, kernel: Kernel) -> None:
        """As a line of JSON, the machine code and the PTX."""
        if self.cache is not None:
            head = json.dumps({"cubin": len(kernel.cubin), "log": kernel.log}).encode()
            self.cache.put(self._key(job), head + b"\n" + kernel.cubin + kernel.ptx)

    def trim(self) -> None:
        if self.cache is not None:
            self.cache.trim()

    def _key(self, job: Job) -> str:
        headers = (text for pair in sorted(job.headers.items()) for text in pair)
        counts = f"{len(job.options)} {len(job.headers)}"
        parts = (counts, *job.options, job.name, job.source, *headers)
        return key("kernel", FORMAT, self.version, *parts)
