"""Schedules: by rule from shapes, within the register file, nothing left uncovered."""

import pytest

from qcompile.targets.loops import expr as e
from qcompile.targets.loops.nest import Nest, View, collapse, drop_unit_loops
from qcompile.targets.tvm.isa import AVX2, AVX512_VNNI, Isa
from qcompile.targets.tvm.schedule import schedule


def convolution(rows: int, columns: int, outputs: int, depth: int, lanes: int) -> Nest:
    """A 3 by 3 convolution over a padded input."""
    pixel = depth
    row = (columns + 2) * pixel
    x = View("u8", (row, pixel, 0, row, pixel, 4), 0)
    run = 9 * depth // 4 * lanes * 4
    w = View("i8", (0, 0, run, run // 3, run // 9, 4 * lanes), 1, const=True)
    y = View("u8", (columns * outputs, outputs, lanes, 0, 0, 0), 1)
    return Nest(
        outer=(rows, columns, outputs),
        inner=(3, 3, depth // 4),
        views=(x, w),
        out=y,
        body=e.Dot(0, 0, "i32", 0, 1, False),
        combine="dot",
        init=e.imm(0),
        finish=e.Acc(0, 255, "i32"),
        lanes=lanes,
    )


@pytest.mark.parametrize("isa", [AVX512_VNNI, AVX2], ids=lambda isa: isa.name)
@pytest.mark.parametrize("size", [(56, 64), (28, 128), (14, 256), (7, 512), (5, 40), (1, 16)])
def test_a_tile_fits_the_registers_and_wastes_little(size: tuple[int, int], isa: Isa):
    length, channels = size
    nest = schedule(convolution(length, length, channels, channels, isa.lanes), isa)
    height, width, blocks = (1, 1, 1, *nest.tile)[-3:]
    assert height * width * blocks + blocks < isa.registers
    covered = 1
    for tiles, tile, extent in zip(nest.tiles, nest.tile, nest.extents, strict=True):
        assert tiles * tile >= extent
        covered *= tiles * tile
    assert covered <= 1.35 * length * length * -(-channels // isa.lanes)


def test_the_tiles_measured_best_for_resnet50_are_chosen():
    chosen = {
        size: schedule(convolution(size, size, c, c, 16), AVX512_VNNI).tile
        for size, c in ((56, 64), (28, 128), (14, 256), (7, 512))
    }
    assert chosen == {56: (1, 14, 2), 28: (1, 14, 2), 14: (1, 14, 2), 7: (1, 7, 2)}


def test_the_same_shape_gives_the_same_schedule():
    nest = convolution(14, 14, 256, 256, 16)
    assert schedule(nest, AVX512_VNNI) == schedule(nest, AVX512_VNNI)


def copy(*outer: int, steps: tuple[int, ...]) -> Nest:
    view = View("u8", steps, 1)
    return Nest(outer, (), (view,), view, None, "", None, e.load(0, "u8"), 16)


def test_loops_that_every_view_walks_as_one_merge():
    nest = collapse(copy(4, 5, 32, steps=(160, 32, 16)))
    assert nest.outer == (20, 32)
    assert nest.out.steps == (32, 16)


def test_loops_over_a_halo_do_not_merge():
    assert collapse(copy(4, 5, 32, steps=(192, 32, 16))).outer == (4, 5, 32)


def test_loops_of_one_step_vanish():
    nest = drop_unit_loops(copy(1, 5, 32, steps=(999, 32, 16)))
    assert (nest.outer, nest.out.steps) == ((5, 32), (32, 16))
