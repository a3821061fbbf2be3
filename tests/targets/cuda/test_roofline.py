"""Predicted times: more work never takes less, and each part is as counted by hand."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcompile.errors import TargetError
from qcompile.targets.cuda.devices import T4
from qcompile.targets.cuda.roofline import machine, predict, predict_map
from qcompile.targets.cuda.tiles import Tile, tiles
from tests.targets.cuda.work_cases import DEEP, WIDENING, convolution, product

ON = machine(T4)
BIG = Tile(128, 128, 64, 32, stages=2)
MIDDLE = Tile(64, 64, 32, 32, stages=2)

works = st.builds(product, st.integers(1, 60000), st.integers(1, 3000), st.integers(1, 9000))
chosen_tiles = st.sampled_from(tiles(T4))
GROWING = st.sampled_from(["places", "outputs", "depth_bytes"])
HEAVIER = st.sampled_from(
    ["input_bytes", "weight_bytes", "output_bytes", "extra_bytes", "finish_instructions"]
)


@given(works, chosen_tiles, GROWING, st.integers(1, 5000))
def test_more_products_never_take_less(work, tile, field, more):
    grown = replace(work, **{field: getattr(work, field) + more})
    less = predict(ON, work, tile=tile, splits=1).milliseconds
    assert predict(ON, grown, tile=tile, splits=1).milliseconds >= less * (1 - 1e-12)


@given(works, chosen_tiles, HEAVIER, st.integers(1, 1 << 24))
def test_more_bytes_or_instructions_never_take_less(work, tile, field, more):
    grown = replace(work, **{field: getattr(work, field) + more})
    less = predict(ON, work, tile=tile, splits=1).milliseconds
    assert predict(ON, grown, tile=tile, splits=1).milliseconds >= less * (1 - 1e-12)


@given(works, chosen_tiles, st.floats(0.3, 1.0))
def test_a_slower_clock_never_takes_less(work, tile, clock):
    slow = replace(ON, factors=replace(ON.factors, clock=ON.factors.clock * clock))
    fast = predict(ON, work, tile=tile, splits=1).milliseconds
    assert predict(slow, work, tile=tile, splits=1).milliseconds >= fast * (1 - 1e-12)


@given(works, chosen_tiles)
def test_no_time_is_less_than_any_resource_needs(work, tile):
    prediction = predict(ON, work, tile=tile, splits=1)
    time = prediction.time
    busy = max(time.tensor, time.shared, time.issue, time.l2, time.dram)
    assert prediction.milliseconds >= busy + prediction.launch
    assert prediction.milliseconds >= prediction.latency + prediction.launch


@given(works, chosen_tiles)
def test_no_time_beats_the_peak(work, tile):
    prediction = predict(ON, work, tile=tile, splits=1)
    assert 2 * work.macs / prediction.milliseconds / 1e9 < T4.int8_tops


def test_one_tile_on_one_multiprocessor_takes_as_long_as_counted_by_hand():
    work = product(128, 128, 64)
    prediction = predict(ON, work, tile=BIG, splits=1)
    cycle = 1 / (1590e3 * 0.84)
    assert prediction.time.tensor == pytest.approx(128 * 128 * 64 / (1024 * 0.9) * cycle)
    operands, stages = 8 * 96 * 64, 256 * 64
    assert prediction.time.shared == pytest.approx((operands + stages) / 128 * cycle)
    assert prediction.latency == pytest.approx((100 + 450) * cycle)
    assert (prediction.blocks, prediction.resident, prediction.rounds) == (1, 1, 1)


def test_the_last_round_is_paid_in_full():
    full = predict(ON, product(128 * 40, 128, 4608), tile=BIG, splits=1)
    one_more = predict(ON, product(128 * 40 + 1, 128, 4608), tile=BIG, splits=1)
    assert full.tail == 0
    assert one_more.tail > 0.4 * one_more.milliseconds
    assert one_more.time.tensor == pytest.approx(2 * full.time.tensor)


def test_finishing_hides_behind_other_blocks_products_when_there_are_rounds():
    heavy = replace(product(128 * 80, 128, 2304), finish_instructions=200)
    once = predict(ON, heavy, tile=BIG, splits=1)
    ten_times = predict(ON, replace(heavy, places=128 * 800), tile=BIG, splits=1)
    assert once.rounds == 1
    assert ten_times.milliseconds < 8 * once.milliseconds


def test_splitting_pays_for_a_second_kernel():
    work = convolution(1, 7, 512, 512, 3)
    split = predict(ON, work, tile=MIDDLE, splits=4)
    whole = predict(ON, work, tile=MIDDLE, splits=1)
    assert split.launch == pytest.approx(2 * whole.launch)
    assert split.blocks == 4 * whole.blocks


def test_partial_sums_that_outgrow_the_cache_go_through_memory():
    work = product(12544, 256, 512)
    split = predict(ON, work, tile=BIG, splits=2)
    whole = predict(ON, work, tile=BIG, splits=1)
    partial = 2 * 12544 * 256 * 4
    assert (split.time.dram - whole.time.dram) * ON.dram == pytest.approx(2 * partial)


def test_an_input_that_the_cache_still_holds_is_not_read_from_memory():
    fits, too_large = replace(DEEP, input_bytes=ON.kept), replace(DEEP, input_bytes=ON.kept + 1)
    more = [predict(ON, w, tile=BIG, splits=1).time.dram * ON.dram for w in (too_large, fits)]
    assert more[0] - more[1] == pytest.approx((ON.kept + 1) * 3)  # three panels of weights


def test_unpacking_weights_costs_instructions_and_saves_bytes():
    packed = replace(DEEP, weight_bits=4, weight_bytes=DEEP.weight_bytes // 2)
    plain, unpacked = (predict(ON, w, tile=BIG, splits=1).time for w in (DEEP, packed))
    assert unpacked.issue > plain.issue
    assert unpacked.l2 < plain.l2


def test_narrow_words_cost_instructions():
    narrow = replace(DEEP, word_bytes=4)
    plain, gathered = (predict(ON, w, tile=BIG, splits=1).time for w in (DEEP, narrow))
    assert gathered.issue > plain.issue


@pytest.mark.parametrize("splits", [0, 10])
def test_more_parts_than_steps_are_refused(splits):
    with pytest.raises(TargetError, match="has 9 steps of 64 bytes: take 1 to 9"):
        predict(ON, product(100, 64, 576), tile=MIDDLE, splits=splits)


def test_a_tile_that_does_not_fit_is_refused_with_what_it_wants():
    monster = Tile(256, 256, 32, 32, stages=2)
    with pytest.raises(TargetError, match=r"256x256w32x32s2 does not fit t4: .* 2048 threads"):
        predict(ON, WIDENING, tile=monster, splits=1)


@pytest.mark.parametrize(
    ("read", "written", "instructions", "bound"),
    [(1 << 26, 1 << 26, 1, "dram"), (1 << 20, 1 << 16, 400, "issue"), (64, 64, 1, "launch")],
)
def test_what_bounds_a_kernel_without_products(read, written, instructions, bound):
    prediction = predict_map(
        ON, read_bytes=read, written_bytes=written, elements=read, instructions=instructions
    )
    assert prediction.bound == bound


def test_a_stream_takes_its_bytes_over_the_bandwidth():
    stream = predict_map(
        ON, read_bytes=220_000_000, written_bytes=220_000_000, elements=1, instructions=1
    )
    assert stream.milliseconds == pytest.approx(2.0, rel=0.25)


@given(
    st.integers(0, 1 << 28), st.integers(0, 1 << 28), st.integers(1, 1 << 24), st.integers(1, 99)
)
def test_a_larger_stream_never_takes_less(read, written, elements, instructions):
    less = predict_map(
        ON, read_bytes=read, written_bytes=written, elements=elements, instructions=instructions
    )
    more = predict_map(
        ON, read_bytes=2 * read, written_bytes=written + 1, elements=3 * elements,
        instructions=instructions + 1,
    )  # fmt: skip
    assert more.milliseconds > less.milliseconds
