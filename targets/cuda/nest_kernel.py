"""Loop nests → whole kernels: one thread computes one block of lanes.

Where one number is made of many neighbours, a warp does it together. Shapes and strides are numbers
in the text; every parameter is a pointer.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from math import prod

from qcompile.errors import NotLegal
from qcompile.targets.cuda.addresses import Places
from qcompile.targets.cuda.arrays import Array, known, results
from qcompile.targets.cuda.border import Border, border_blocks
from qcompile.targets.cuda.printer import Block, parameters
from qcompile.targets.cuda.reducing import WARP, is_shared, reduced
from qcompile.targets.loops.nest import Nest

HEADER = "qc_values.cuh"
THREADS = 256


@dataclass(frozen=True, slots=True)
class KernelSource:
    """A kernel's text and how it is launched: a 1-D grid of 1-D blocks."""

    name: str
    text: str
    grid: int
    block: int
    shared: int = 0


def nest_kernel(
    nest: Nest,
    name: str,
    *,
    comment: str,
    borders: Sequence[Border | None] = (),
    arrays: Sequence[Array] = (),
) -> KernelSource:
    """The kernel of a nest: parameters `v0` …, `out`, `out1` …, in the order of its arguments.

    `arrays`: what is known of each, buffers of ours unless said otherwise. Blocks behind the main
    work fill `borders`, one (or none) for each array that is written.
    """
    count = prod(nest.extents)
    threads = count * WARP if is_shared(nest) else count
    if threads >= 1 << 32:
        raise NotLegal(f"{name}: {threads} threads are too many for one kernel")
    grid = -(-threads // THREADS)
    around = border_blocks(borders, name, first=grid, threads=THREADS)
    lines = [
        f'#include "{HEADER}"',
        "",
        *around.functions,
        f"// {comment}",
        f"// {_summary(nest)}",
        f'extern "C" __global__ void __launch_bounds__({THREADS})',
        f"{name}({parameters(nest)}) {{",
        *around.branches,
        *_body(nest, count, known(nest, arrays)),
        "}",
        f"QC_KERNEL({name})",
        "",
    ]
    return KernelSource(name, "\n".join(lines), around.grid, THREADS)


def _summary(nest: Nest) -> str:
    """The loops in words."""
    places = " x ".join(str(d) for d in nest.outer)
    over = f", {nest.combine} over {' x '.join(str(d) for d in nest.inner)}" if nest.inner else ""
    each = "a warp for each" if is_shared(nest) else f"{nest.lanes} neighbours a thread"
    return f"{places} places{over}; {each}"


def _body(nest: Nest, count: int, arrays: Sequence[Array]) -> list[str]:
    names = tuple(f"i{loop}" for loop in range(len(nest.outer) - 1))
    names = (*names, "block" if nest.lanes > 1 else f"i{len(names)}")
    outer = tuple(n if d > 1 else "0" for n, d in zip(names, nest.extents, strict=True))
    inner = tuple(f"r{loop}" if d > 1 else "0" for loop, d in enumerate(nest.inner))
    block = Block(nest, Places(outer, inner), arrays)
    together = is_shared(nest)
    threads = count * WARP if together else count
    block.line(f"const unsigned thread = blockIdx.x * {THREADS}u + threadIdx.x;")
    if threads % THREADS:
        block.line(f"if (thread >= {threads}u) return;")
    if together:
        block.line(f"const unsigned place = thread / {WARP}u;")
        block.line(f"const int part = thread % {WARP}u;")
    for line in decomposed("place" if together else "thread", outer, nest.extents):
        block.line(line)
    if block.counts:
        start = block.places.lane_start(nest.lanes)
        last = nest.outer[-1] if start == "0" else f"{nest.outer[-1]} - {start}"
        block.line(f"const int count = {last};")
    if nest.body is not None:
        reduced(block, nest.body, together=together)
    with block.scope("if (part == 0)") if together else nullcontext():
        block.write(results(nest, arrays))
    return block.lines


def decomposed(index: str, names: Sequence[str], extents: Sequence[int]) -> list[str]:
    """The indices of loops, the last the fastest, as declarations; loops named 0 have one step."""
    lines: list[str] = []
    run, total = 1, prod(extents)
    for name, extent in reversed(list(zip(names, extents, strict=True))):
        if name != "0":
            part = index if run == 1 else f"{index} / {run}u"
            whole = run * extent == total
            lines.append(f"const int {name} = {part}{'' if whole else f' % {extent}u'};")
        run *= extent
    return lines
