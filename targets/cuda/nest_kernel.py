"""Loop nests → whole kernels: one thread computes one block of lanes.

Loops over reduced places are serial; their first steps are spelled out so that reads overlap.
Shapes and strides are numbers in the text; every parameter is a pointer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from qcompile.errors import NotLegal
from qcompile.targets.cuda.addresses import Places
from qcompile.targets.cuda.border import Border, border_blocks
from qcompile.targets.cuda.expression import Lane
from qcompile.targets.cuda.formats import kind
from qcompile.targets.cuda.printer import UNROLL, Array, Block, known, parameters, results
from qcompile.targets.loops import expr as e
from qcompile.targets.loops.nest import Nest

HEADER = "qc_values.cuh"
THREADS = 256
SPELLED = 16  # steps of a reduction that are spelled out at once
PAIRS = {"add": "__fadd_rn", "mul": "__fmul_rn", "max": "fmaxf", "min": "fminf"}


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
    if count >= 1 << 32:
        raise NotLegal(f"{name}: {count} blocks of lanes are too many for one kernel")
    grid = -(-count // THREADS)
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
    return f"{places} places{over}; {nest.lanes} neighbours a thread"


def _body(nest: Nest, count: int, arrays: Sequence[Array]) -> list[str]:
    names = tuple(f"i{loop}" for loop in range(len(nest.outer) - 1))
    names = (*names, "block" if nest.lanes > 1 else f"i{len(names)}")
    outer = tuple(n if d > 1 else "0" for n, d in zip(names, nest.extents, strict=True))
    inner = tuple(f"r{loop}" if d > 1 else "0" for loop, d in enumerate(nest.inner))
    block = Block(nest, Places(outer, inner), arrays)
    block.line(f"const unsigned thread = blockIdx.x * {THREADS}u + threadIdx.x;")
    if count % THREADS:
        block.line(f"if (thread >= {count}u) return;")
    for line in decomposed("thread", outer, nest.extents):
        block.line(line)
    if block.counts:
        start = block.places.lane_start(nest.lanes)
        last = nest.outer[-1] if start == "0" else f"{nest.outer[-1]} - {start}"
        block.line(f"const int count = {last};")
    if nest.body is not None:
        _reduce(block, nest.body)
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


def _reduce(block: Block, body: e.Expr) -> None:
    nest = block.nest
    assert nest.init is not None
    block.read(nest.init)
    each = nest.lanes > 1
    block.acc = "acc[i]" if each else "acc"
    lane = block.lane(nest.init)
    start = lane.result(nest.init)
    if each:
        block.line(f"{kind(body.elem)} acc[{nest.lanes}];")
        block.each_lane([*lane.lines, f"acc[i] = {start};"])
    else:
        block.each_lane([*lane.lines, f"{kind(body.elem)} acc = {start};"])
    block.read(body)
    _loops(block, body, 0)


def _loops(block: Block, body: e.Expr, loop: int) -> None:
    """The reduced loops from `loop` on, and within them one step of the sum."""
    inner = block.nest.inner
    if loop == len(inner):
        block.read(body, inner=True)
        lane = block.lane(body)
        step = _combined(block, lane, body)
        block.each_lane([*lane.lines, step])
        return
    if inner[loop] == 1:
        _loops(block, body, loop + 1)
        return
    block.line(_unroll(inner, loop))
    name = f"r{loop}"
    with block.scope(f"for (int {name} = 0; {name} < {inner[loop]}; ++{name})"):
        _loops(block, body, loop + 1)


def _unroll(inner: Sequence[int], loop: int) -> str:
    within = prod(inner[loop + 1 :])
    if within * inner[loop] <= SPELLED:
        return UNROLL
    return f"{UNROLL} {max(1, SPELLED // 2 // within)}"


def _combined(block: Block, lane: Lane, body: e.Expr) -> str:
    """The statement that adds one term to the accumulator."""
    acc, combine = block.acc, block.nest.combine
    value = lane.value(body) if combine == "mul" else lane.result(body)
    if body.is_float:
        return f"{acc} = {PAIRS[combine]}({acc}, {value});"
    match combine:
        case "add":
            return f"{acc} += {value};"
        case "mul":
            return f"{acc} *= {value};"
        case "max" | "min":
            return f"{acc} = {combine}({acc}, {value});"
        case _:
            raise AssertionError(combine)
