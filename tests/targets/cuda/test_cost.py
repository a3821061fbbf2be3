"""Choices of tile and parts: the least time, measured before predicted, the same every time."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcompile.targets.cuda.cost import choose
from qcompile.targets.cuda.devices import A10, A100, CHIPS, H100, T4
from qcompile.targets.cuda.measured import MeasuredTable, Row
from qcompile.targets.cuda.roofline import machine, predict
from qcompile.targets.cuda.tiles import Tile, tiles
from tests.targets.cuda.work_cases import DEEP, WIDENING, convolution, product

ON = machine(T4)
BIG = Tile(128, 128, 64, 32, stages=2)
MIDDLE = Tile(64, 64, 32, 32, stages=2)
ALL_CHIPS = pytest.mark.parametrize("chip", CHIPS.values(), ids=CHIPS)

works = st.builds(product, st.integers(1, 60000), st.integers(1, 3000), st.integers(1, 9000))


@given(works)
def test_four_bits_of_the_same_shape_never_take_longer(work):
    even = replace(work, depth_bytes=2 * work.depth_bytes)
    narrow = replace(
        work, bits=4, weight_bits=4, input_bytes=work.input_bytes // 2,
        weight_bytes=work.weight_bytes // 2, output_bytes=work.output_bytes // 2,
    )  # fmt: skip
    assert choose(T4, narrow, None).milliseconds <= choose(T4, even, None).milliseconds


@pytest.mark.parametrize(
    ("work", "bounds"),
    [
        pytest.param(WIDENING, {"issue", "dram"}, id="1x1 over 64 channels"),
        pytest.param(DEEP, {"tensor"}, id="3x3 over 512 channels"),
        pytest.param(product(1, 1000, 2048), {"latency", "dram"}, id="one vector"),
    ],
)
def test_what_bounds_a_layer(work, bounds):
    assert choose(T4, work, None).prediction.bound in bounds


@pytest.mark.parametrize("bits", [8, 4])
def test_7x7_at_batch_1_is_split(bits):
    assert choose(T4, convolution(1, 7, 512, 512, 3, bits=bits), None).splits > 1


def test_a_chip_full_of_blocks_is_not_split():
    assert choose(T4, DEEP, None).splits == 1


@ALL_CHIPS
def test_choosing_twice_chooses_the_same(chip):
    assert choose(chip, WIDENING, None) == choose(chip, WIDENING, None)


def test_nothing_beats_the_choice():
    best = choose(T4, WIDENING, None)
    times = [predict(ON, WIDENING, tile=tile, splits=1).milliseconds for tile in tiles(T4)]
    assert best.milliseconds == min(times)


@pytest.mark.parametrize(("faster", "slower"), [(A100, A10), (A10, T4)], ids=lambda c: c.name)
def test_a_larger_chip_takes_less(faster, slower):
    assert choose(faster, DEEP, None).milliseconds < choose(slower, DEEP, None).milliseconds


def test_four_bits_are_chosen_for_on_a_chip_that_emulates_them_and_take_longer():
    emulated = choose(H100, convolution(64, 14, 512, 512, 3, bits=4), None)
    assert emulated.milliseconds > choose(H100, DEEP, None).milliseconds


def table(*rows: Row) -> MeasuredTable:
    return MeasuredTable("t4", "Tesla T4", "2030-01-01", "550.1", 1590, rows)


def test_a_measured_time_is_taken_for_the_predicted_one():
    slow = Row(DEEP.name, MIDDLE.name, 2, 9.5, 0.01)
    choice = choose(T4, DEEP, table(slow))
    assert (choice.tile, choice.splits) == (MIDDLE, 2)
    assert (choice.milliseconds, choice.source) == (9.5, "measured")


def test_of_measured_times_the_least_is_taken():
    rows = [Row(WIDENING.name, BIG.name, 1, 0.2, 0.0), Row(WIDENING.name, MIDDLE.name, 1, 0.1, 0.0)]
    assert choose(T4, WIDENING, table(*rows)).tile == MIDDLE


@pytest.mark.parametrize(
    "row",
    [Row(DEEP.name, BIG.name, 1, 0.001, 0.0), Row(WIDENING.name, "9x9w9x9s2", 1, 0.001, 0.0)],
    ids=["another layer", "another tile"],
)
def test_times_of_other_kernels_change_nothing(row):
    assert choose(T4, WIDENING, table(row)) == choose(T4, WIDENING, None)


def test_of_equals_the_one_with_fewest_parts_wins():
    rows = [Row(DEEP.name, MIDDLE.name, 2, 0.1, 0.0), Row(DEEP.name, BIG.name, 1, 0.1, 0.0)]
    assert choose(T4, DEEP, table(*rows)).tile == BIG


def test_of_equals_with_as_many_parts_the_smallest_tile_wins():
    rows = [Row(DEEP.name, BIG.name, 1, 0.1, 0.0), Row(DEEP.name, MIDDLE.name, 1, 0.1, 0.0)]
    assert choose(T4, DEEP, table(*rows)).tile == MIDDLE
