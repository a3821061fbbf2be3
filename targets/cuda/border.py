"""Halos filled beside the main work: further blocks of the same launch write other bytes.

The halo is cut into slabs, one per axis that has one: all places inside along the axes before it,
what lies before and behind along this axis, everything along the axes after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import gcd, prod

import numpy as np

from qcompile.targets.cuda.formats import BITS
from qcompile.targets.loops.draft import Value

PIECES = {16: "uint4", 8: "uint2", 4: "unsigned", 2: "unsigned short", 1: "unsigned char"}
_DTYPES = {
    "u8": np.uint8, "i8": np.int8, "i16": np.int16, "u16": np.uint16, "i32": np.int32,
    "i64": np.int64, "f32": np.float32, "bool": np.uint8,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Border:
    """A stored array of `elem`, axes from outermost to innermost: `extents` with the halo,
    `before` and `after` what of them is halo, to be filled with `fill`."""

    elem: str
    extents: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    fill: float


@dataclass(frozen=True, slots=True)
class Slab:
    """`rows` places inside along the axes before; in each, units before and after a gap of `gap`.

    Counted in units: `before`, `after`, `gap`; row r begins at `start` + Σ index · step.
    """

    extents: tuple[int, ...]
    steps: tuple[int, ...]
    start: int
    before: int
    gap: int
    after: int

    @property
    def units(self) -> int:
        """How many units are written."""
        return prod(self.extents) * (self.before + self.after)


def border_of(value: Value) -> Border:
    """The halo of a value; one of the innermost axis takes in the padding."""
    layout = value.layout
    sides = [layout.halo[a] for a in layout.order]
    inside = [layout.shape[a] for a in layout.order]
    extents = [n + sum(side) for n, side in zip(inside, sides, strict=True)]
    extents[-1] = max(extents[-1], layout.width)
    before, after = ([side[i] for side in sides] for i in (0, 1))
    if before[-1] or after[-1]:
        after[-1] = extents[-1] - before[-1] - inside[-1]
    return Border(value.elem, tuple(extents), tuple(before), tuple(after), value.fill)


@dataclass(frozen=True, slots=True)
class BorderBlocks:
    """What fills halos: functions before a kernel, branches at its begin, its whole grid."""

    functions: tuple[str, ...]
    branches: tuple[str, ...]
    grid: int


def border_blocks(
    borders: Sequence[Border | None], name: str, *, first: int, threads: int
) -> BorderBlocks:
    """Blocks from `first` on fill the halos of `out`, `out1` … in turn."""
    functions, branches, grid = list[str](), list[str](), first
    for i, border in enumerate(borders):
        count = 0 if border is None else units(border)
        if border is None or count == 0:
            continue
        pointer = f"out{i or ''}"
        functions += [border_source(border, f"{name}_border{i or ''}"), ""]
        thread = f"(blockIdx.x - {grid}u) * {threads}u + threadIdx.x"
        fill = [f"        {name}_border{i or ''}({pointer}, {thread});", "        return;", "    }"]
        branches = [f"    if (blockIdx.x >= {grid}u) {{", *fill, *branches]
        grid += -(-count // threads)
    return BorderBlocks(tuple(functions), tuple(branches), grid)


def units(border: Border) -> int:
    """How many threads are needed: each writes one unit."""
    return sum(slab.units for slab in slabs(border))


def border_source(border: Border, name: str) -> str:
    """`void NAME(void* out, unsigned unit)` writes one unit of the halo."""
    size = unit_bytes(border)
    lines = [
        f"// The halo of out, {border.elem} {list(border.extents)}: {size} bytes a thread.",
        f"__device__ __forceinline__ void {name}(void* out, unsigned unit) {{",
        f"    {PIECES[size]}* const to = ({PIECES[size]}*)out;",
        f"    const {PIECES[size]} fill = {_fill(border, size)};",
    ]
    pieces = list(slabs(border))
    for slab in pieces:
        lines += _slab(slab, last=slab is pieces[-1])
    return "\n".join((*lines, "}"))


def _slab(slab: Slab, *, last: bool) -> Iterator[str]:
    """The text that fills one slab, or passes it over."""
    count, each = slab.units, slab.before + slab.after
    yield f"    if (unit < {count}u) {{"
    yield f"        const int k = unit % {each}u;"
    rest, terms = f"unit / {each}u", list[str]()
    for extent, step in reversed(list(zip(slab.extents, slab.steps, strict=True))):
        if extent > 1:
            outermost = prod(slab.extents) == extent * _inner(slab, step)
            name = f"i{len(terms)}"
            yield f"        const int {name} = {rest}{'' if outermost else f' % {extent}u'};"
            rest = f"{rest} / {extent}u"
            terms.append(f"{name} * {step}")
    jump = f" + (k < {slab.before} ? 0 : {slab.gap})" if slab.before and slab.after else ""
    start = slab.start if slab.before else slab.start + slab.gap
    place = " + ".join((*terms, *([str(start)] if start else []), "k"))
    yield f"        to[{place}{jump}] = fill;"
    yield "        return;" if not last else "    }"
    if not last:
        yield "    }"
        yield f"    unit -= {count}u;"


def _inner(slab: Slab, step: int) -> int:
    """Places along the axes within the one of this step."""
    return prod(e for e, s in zip(slab.extents, slab.steps, strict=True) if s < step)


def slabs(border: Border) -> Iterator[Slab]:
    """The halo axis by axis, in units."""
    per = unit_bytes(border) * 8 // BITS[border.elem]
    for axis, (before, after) in enumerate(zip(border.before, border.after, strict=True)):
        if before or after:
            yield _slab_of(border, axis, per)


def _slab_of(border: Border, axis: int, per: int) -> Slab:
    strides = _strides(border)
    inside = _inside(border)
    start = sum(b * s for b, s in zip(border.before[:axis], strides, strict=False))
    step = strides[axis]
    return Slab(
        extents=inside[:axis],
        steps=tuple(s // per for s in strides[:axis]),
        start=start // per,
        before=border.before[axis] * step // per,
        gap=inside[axis] * step // per,
        after=border.after[axis] * step // per,
    )


def unit_bytes(border: Border) -> int:
    """The widest access, at most 16 bytes, whose multiples everything begins and ends at."""
    bits, common = BITS[border.elem], 128
    strides, inside = _strides(border), _inside(border)
    for axis, (before, after) in enumerate(zip(border.before, border.after, strict=True)):
        if before or after:
            step = strides[axis]
            for count in (before, inside[axis], after):
                common = gcd(common, count * step * bits)
            for outer in range(axis):
                common = gcd(common, strides[outer] * bits)
    assert common >= 8, f"a halo that begins inside a byte: {border}"
    return common // 8


def _strides(border: Border) -> tuple[int, ...]:
    return tuple(prod(border.extents[a + 1 :]) for a in range(len(border.extents)))


def _inside(border: Border) -> tuple[int, ...]:
    sides = zip(border.extents, border.before, border.after, strict=True)
    return tuple(n - b - a for n, b, a in sides)


def _fill(border: Border, size: int) -> str:
    """The fill value, repeated over a unit."""
    if border.elem in ("u4", "i4"):
        pattern = bytes([(int(border.fill) & 15) * 0x11])
    else:
        number = border.fill if border.elem == "f32" else int(border.fill)
        pattern = np.array([number]).astype(_DTYPES[border.elem]).tobytes()
    whole = (pattern * size)[:size]
    if size <= 4:
        return f"{int.from_bytes(whole, 'little'):#x}"
    words = [int.from_bytes(whole[i : i + 4], "little") for i in range(0, size, 4)]
    return f"make_uint{len(words)}({', '.join(f'{w:#x}u' for w in words)})"
