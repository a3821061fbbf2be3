"""How a nest is run: tiles in registers, order of loops, what runs side by side.

All by rule, from shapes alone, so that the same graph gives the same code on every machine. The
costs are those measured on AVX512-VNNI cores: a dot or multiply-add per cycle, two loads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from qcompile.targets.loops.expr import Binary, Convert, Dot, Imm, Load, Select, Unary, parts
from qcompile.targets.loops.nest import Nest, Table, View, collapse, drop_unit_loops
from qcompile.targets.tvm.isa import Isa

LATENCY = 5  # cycles until an accumulator may be used again
TILE_START = 24  # cycles to set up a tile
FINISH = 10  # cycles to finish one register of results
SPREAD = 64  # enough tasks for any number of threads we expect
PLAIN = (Binary, Convert, Imm, Load, Select, Unary)  # what takes any number of lanes
UNROLL = 32  # at most so many steps of a reduction are spelled out


def schedule(nest: Nest, isa: Isa) -> Nest:
    """The nest with tile, order, tasks and unrolling chosen."""
    nest = collapse(drop_unit_loops(nest))
    ones = (1,) * len(nest.outer)
    nest = replace(nest, tile=ones, order=tuple(range(len(nest.outer))))
    if nest.body is None:
        return _spread(_split(nest))
    nest = replace(nest, unroll=_unrolled(nest), abreast=_abreast(nest, isa))
    if nest.lanes > 1 and not nest.exact:
        nest = replace(nest, tile=_best_tile(nest, isa))
    return _spread(replace(nest, order=_order(nest, isa)))


def _abreast(nest: Nest, isa: Isa) -> int:
    """Lanes for neighbours that become one number: where all that is read lies, or stays, there."""
    if nest.lanes > 1 or nest.combine == "dot" or nest.inner[-1] < isa.lanes:
        return 1
    assert nest.body is not None
    made = list(parts(nest.body))
    plain = all(isinstance(part, PLAIN) for part in made)
    read = [nest.views[part.view] for part in made if isinstance(part, Load)]
    near = all(view.steps[-1] in (0, 1) and isinstance(view.lane, int) for view in read)
    return isa.lanes if plain and near else 1


def _best_tile(nest: Nest, isa: Isa) -> tuple[int, ...]:
    """The register tile of least cost: few wasted places, enough accumulators, few loads."""
    candidates = list(_tiles(nest, isa))
    return min(candidates, key=lambda t: (_cost(nest, t), t))


def _tiles(nest: Nest, isa: Isa) -> Iterator[tuple[int, ...]]:
    extents = nest.extents
    ones = (1,) * len(extents)
    room = isa.registers - 1
    wide = max(nest.lanes // isa.lanes, 1)
    rows = extents[-3] if len(extents) > 2 else 1
    columns = extents[-2] if len(extents) > 1 else 1
    for blocks in range(1, min(nest.blocks, 8) + 1):
        for width in range(1, min(columns, 28) + 1):
            for height in range(1, min(rows, 4) + 1):
                used = height * width * blocks
                if (used + blocks) * wide > room or used > 28:
                    continue
                yield (*ones, height, width, blocks)[-len(extents) :]


def _cost(nest: Nest, tile: tuple[int, ...]) -> float:
    tiles, used = 1, 1
    for extent, size in zip(nest.extents, tile, strict=True):
        tiles *= -(-extent // size)
        used *= size
    steps = 1
    for extent in nest.inner:
        steps *= extent
    loads = sum(_loaded(view, nest, tile) for view in _reduced_views(nest))
    per_step = 1 if isinstance(nest.body, Dot) else 2
    cycles = max(used * per_step, loads / 2, LATENCY)
    return tiles * (steps * cycles + used * FINISH + TILE_START)


def _reduced_views(nest: Nest) -> list[View]:
    n = len(nest.outer)
    return [v for v in nest.views if any(v.steps[n:])]


def _loaded(view: View, nest: Nest, tile: tuple[int, ...]) -> int:
    count = 1
    for step, size in zip(view.steps, tile, strict=False):
        if step != 0:
            count *= size
    return count


def _unrolled(nest: Nest) -> int:
    """How many of the innermost reduced loops are short enough to be spelled out."""
    if isinstance(nest.body, Dot):
        return 0
    count, steps = 0, 1
    for extent in reversed(nest.inner):
        steps *= extent
        if steps > UNROLL:
            break
        count += 1
    return count


def _order(nest: Nest, isa: Isa) -> tuple[int, ...]:
    """Blocks of channels outermost, so that their weights stay in cache; unless what they read
    is so large, and all weights so small, that places had better be outermost."""
    n = len(nest.outer)
    last, rest = n - 1, tuple(range(n - 1))
    weights = sum(_footprint(v, nest) for v in nest.views if v.const)
    data = sum(_footprint(v, nest) for v in nest.views if not v.const)
    blocks = nest.tiles[-1]
    if blocks > 1 and data > isa.l2_bytes // 2 and weights < isa.l2_bytes // 2:
        return (*rest, last)
    return (last, *rest)


def _footprint(view: View, nest: Nest) -> int:
    total = 1
    for step, extent in zip(view.steps, (*nest.extents, *nest.inner), strict=True):
        if isinstance(step, Table) or step != 0:
            total *= extent
    lanes = nest.lanes if view.lane != 0 else 4
    return total * lanes


def _split(nest: Nest) -> Nest:
    """A map over one long run becomes rows of blocks."""
    return nest


def _spread(nest: Nest) -> Nest:
    """As many outer loops as give enough tasks are spread; the others run inside a task."""
    count, spread = 1, 0
    for loop in nest.order:
        if count >= SPREAD and spread:
            break
        count *= nest.tiles[loop]
        spread += 1
    return replace(nest, inside=len(nest.order) - spread)
