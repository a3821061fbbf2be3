"""Where views begin for a block of lanes: addresses in elements as text, and their alignment."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

from qcompile.targets.cuda.formats import BITS
from qcompile.targets.loops.nest import Nest, Table, View

INT32_MAX = (1 << 31) - 1
WIDEST = 16  # bytes of one access


@dataclass(frozen=True, slots=True)
class Places:
    """The loops' indices as text; the last of `outer` counts blocks of lanes.

    `first`: the index along the last loop of the block's first lane, where it has a name.
    """

    outer: tuple[str, ...]
    inner: tuple[str, ...]
    first: str | None = None

    def lane_start(self, lanes: int) -> str:
        """The element index, along the last loop, of the first lane."""
        return self.first or _times(self.outer[-1], lanes)


def address(nest: Nest, view: View, places: Places, *, more: str = "") -> str:
    """Where the block's first lane lies, in elements; `more` is added to it."""
    wide = is_wide(nest, view)
    terms: list[str] = []
    loops = zip(view.steps, extents(nest), (*places.outer, *places.inner), strict=True)
    for loop, (step, extent, index) in enumerate(loops):
        if isinstance(step, Table):
            terms.append(f"v{step.view}[{index if extent > 1 else 0}]")
        elif loop == len(nest.outer) - 1 and places.first is not None and extent > 1:
            terms += _along_lanes(nest, view, step, places)
        elif step != 0 and extent > 1:
            terms.append(_times(f"(long long){index}" if wide else index, step))
    if isinstance(view.lane, Table) and nest.lanes == 1:
        terms.append(f"v{view.lane.view}[{places.lane_start(1)}]")
    terms += [more] if more else []
    return _sum(terms, view.offset)


def _along_lanes(nest: Nest, view: View, step: int, places: Places) -> list[str]:
    assert places.first is not None
    if isinstance(view.lane, int) and step == view.lane * nest.lanes:
        return [_times(places.first, view.lane)] if view.lane else []
    return [_times(places.outer[-1], step)] if step else []


def extents(nest: Nest) -> tuple[int, ...]:
    """The steps of each loop, output loops first, the lane loop in blocks."""
    return (*nest.extents, *nest.inner)


def is_wide(nest: Nest, view: View) -> bool:
    """Some address does not fit 32 bits."""
    lane = view.lane if isinstance(view.lane, int) else 0
    reach = abs(view.offset) + abs(lane) * nest.lanes
    for step, extent in zip(view.steps, extents(nest), strict=True):
        reach += abs(step) * (extent - 1) if isinstance(step, int) else 0
    return reach > INT32_MAX


def vector(nest: Nest, view: View, alignment: int) -> int:
    """Bytes of an access to all lanes; 0 where they are not neighbours or begin inside a byte.

    `alignment`: the array begins at a multiple of so many bytes.
    """
    if view.lane != 1 or nest.lanes == 1:
        return 0
    bits = BITS[view.elem]
    common = gcd(alignment * 8, WIDEST * 8, nest.lanes * bits, view.offset * bits)
    for step, extent in zip(view.steps, extents(nest), strict=True):
        if isinstance(step, Table):
            common = gcd(common, step.multiple * bits)
        elif extent > 1:
            common = gcd(common, step * bits)
    return common // 8


def whole_words(nest: Nest, view: View, alignment: int) -> int:
    """As `vector`; 0 also where an access is less than a word and less than all lanes."""
    size = vector(nest, view, alignment)
    return size if size >= 4 or size * 8 == nest.lanes * BITS[view.elem] else 0


def _times(index: str, step: int) -> str:
    if step == 1 or index == "0":
        return index
    return f"{index} * {step}" if index.isidentifier() or index[0] == "(" else f"({index}) * {step}"


def _sum(terms: list[str], offset: int) -> str:
    text = " + ".join(t for t in terms if t != "0").replace("+ -", "- ")
    if not text:
        return str(offset)
    return text if offset == 0 else f"{text} + {offset}" if offset > 0 else f"{text} - {-offset}"
