"""A contraction → its kernel: the tile template, told where x lies and what to store."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from qcompile.errors import NotLegal
from qcompile.targets.cuda.border import Border, border_blocks
from qcompile.targets.cuda.contraction import CHUNK, Contraction, Window
from qcompile.targets.cuda.finish import finish_source
from qcompile.targets.cuda.formats import BITS
from qcompile.targets.cuda.nest_kernel import KernelSource
from qcompile.targets.cuda.packing import RUN
from qcompile.targets.cuda.printer import Array, parameters
from qcompile.targets.loops.expr import Dot
from qcompile.targets.loops.nest import Nest, View

REACH = 1 << 31  # bytes that an int can address


def contraction_kernel(
    nest: Nest,
    plan: Contraction,
    name: str,
    *,
    comment: str,
    borders: Sequence[Border | None] = (),
    arrays: Sequence[Array] = (),
) -> KernelSource:
    """The kernel of a contraction; blocks behind its tiles fill the halos of what it writes."""
    tile = plan.tile
    count = _tiles(prod(nest.outer[:-1]), tile.bm) * _tiles(nest.outer[-1], tile.bn) * plan.splits
    around = border_blocks(borders, name, first=count, threads=tile.threads)
    finish = finish_source(nest, parts=plan.parts, arrays=arrays)
    assert isinstance(nest.body, Dot)
    lines = [
        '#include "qc_contract.cuh"',
        '#include "qc_values.cuh"',
        "",
        *around.functions,
        f"struct Problem_{name} {{",
        constants(nest, plan),
        "",
        indented(finish.members),
        "",
        addresses(nest, plan),
        "",
        indented(finish.method),
        "};",
        "",
        f"// {comment}",
        f'extern "C" __global__ void __launch_bounds__({tile.threads})',
        f"{name}({parameters(nest)}) {{",
        *around.branches,
        f"    const Problem_{name} problem{{{finish.arguments}}};",
        f"    qc::contract({_x_bytes(nest)}, v{nest.body.w}, problem, blockIdx.x);",
        "}",
        f"QC_KERNEL({name})",
        "",
    ]
    shared = tile.shared_bytes(bits=plan.bits, weight_bits=plan.weight_bits)
    return KernelSource(name, "\n".join(lines), around.grid, tile.threads, shared)


def _x_bytes(nest: Nest) -> str:
    """The operand as the template takes it: signed bytes by another name."""
    assert isinstance(nest.body, Dot)
    signed = nest.views[nest.body.x].elem == "i8"
    name = f"v{nest.body.x}"
    return f"reinterpret_cast<const unsigned char*>({name})" if signed else name


def constants(nest: Nest, plan: Contraction) -> str:
    """The numbers of the problem, as members."""
    tile = plan.tile
    groups = {
        "ARCH": 75 if tile.staged_by_registers else 80,
        "BITS": plan.bits,
        "WEIGHT_BITS": plan.weight_bits,
        "BM": tile.bm,
        "BN": tile.bn,
        "WM": tile.wm,
        "WN": tile.wn,
        "STAGES": tile.stages,
        "M": prod(nest.outer[:-1]),
        "N": nest.outer[-1],
        "K_BYTES": plan.k_bytes,
        "N_STORED": _tiles(nest.outer[-1], RUN) * RUN,
        "SPLITS": plan.splits,
        "WORD": plan.word,
    }
    lines = [f"static constexpr int {name} = {value};" for name, value in groups.items()]
    unsigned = "false" if plan.signed else "true"
    return indented("\n".join((*lines, f"static constexpr bool UNSIGNED = {unsigned};")))


def addresses(nest: Nest, plan: Contraction) -> str:
    """`row` and `column`: where x lies for a place, and along the sum."""
    assert isinstance(nest.body, Dot)
    view = nest.views[nest.body.x]
    bits, places = BITS[view.elem], len(nest.outer) - 1
    steps = [_bytes(step, bits) for step in view.steps if isinstance(step, int)]
    outer, inner = steps[:places], steps[places + 1 :]
    _check_reach(nest, view, bits)
    base = _bytes(view.offset, bits)
    words = prod(nest.inner)
    real = words * plan.word
    column = _sum("word", nest.inner, inner)
    shift = "" if plan.window is None else f" + {_window(plan.window, plan)}"
    lines = [
        "static int row(int m) {",
        f"    return {_sum('m', nest.outer[:-1], outer, base)};",
        "}",
        "static int column(int n_tile, unsigned k) {",
        *([] if real == plan.k_bytes else [f"    if (k >= {real}) return 0;"]),
        "    const unsigned word = k / WORD;",
        f"    return {column}{shift};",
        "}",
    ]
    return indented("\n".join(lines))


def indented(text: str) -> str:
    """One level deeper; directives stay at the margin."""
    lines = text.split("\n")
    return "\n".join(line if not line or line[0] == "#" else f"    {line}" for line in lines)


def _tiles(size: int, tile: int) -> int:
    return -(-size // tile)


def _sum(index: str, extents: Sequence[int], steps: Sequence[int], base: int = 0) -> str:
    """Σ digit · step of a number written in the mixed base of the extents, the last one fastest."""
    terms: list[str] = [str(base)] if base else []
    below = 1
    for extent, step in zip(reversed(extents), reversed(steps), strict=True):
        above = prod(extents) // below // extent
        digit = index if below == 1 else f"{index} / {below}"
        if above > 1:
            digit = f"{digit} % {extent}"
        if step and extent > 1:
            terms.append(f"{digit} * {step}" if step != 1 else digit)
        below *= extent
    return " + ".join(terms) or "0"


def _window(window: Window, plan: Contraction) -> str:
    """The first byte of the channels that a tile of outputs reads, on a whole chunk."""
    channels = f"n_tile * BN / {window.each} * {window.depth}"
    chunk = CHUNK * 8 // plan.bits
    return f"{channels} / {chunk} * {CHUNK}"


def _bytes(elements: int, bits: int) -> int:
    assert elements * bits % 8 == 0
    return elements * bits // 8


def _check_reach(nest: Nest, view: View, bits: int) -> None:
    """`NotLegal` for more than 2 GiB in one value."""
    extents = (*nest.outer[:-1], 1, *nest.inner)
    last = sum((d - 1) * s for d, s in zip(extents, view.steps, strict=True) if isinstance(s, int))
    if (view.offset + last) * bits // 8 >= REACH:
        raise NotLegal(f"a value of more than 2 GiB ({last * bits // 8} bytes) has no kernel")
